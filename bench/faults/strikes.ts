import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { pidsBelowCgroup } from '#setup/engine/processes.ts';
import type { World } from './world.ts';

export type Strikes = Record<'daemon' | 'engine' | 'task', number>;

/** SIGKILL of one thing after another, each brought back after a while; never two at once. */
export async function strike(world: World, goOn: () => boolean, made: Strikes): Promise<void> {
  while (goOn()) {
    await sleep(1_500 + randomInt(6_000));
    if (!goOn()) return;
    await world.revive();
    switch (randomInt(6)) {
      case 0:
      case 1:
        made.daemon += 1;
        await world.killDaemon();
        await sleep(randomInt(1_500));
        await world.startDaemon();
        break;
      case 2:
        made.engine += 1;
        await world.killEngine();
        await sleep(randomInt(4_000));
        await world.startEngine();
        break;
      default:
        if (killOneProcess(world)) made.task += 1;
    }
  }
}

function killOneProcess({ engine }: World): boolean {
  const pids = pidsBelowCgroup(engine.cgroupParent);
  const pid = pids[randomInt(Math.max(1, pids.length))];
  if (pid === undefined) return false;
  try {
    process.kill(pid, 'SIGKILL');
    return true;
  } catch {
    return false;
  }
}
