import { randomInt } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { runOutcomes, type RunView } from '#contract/run.ts';
import type { Known } from '#test/support/known-plan.ts';
import type { World } from '../faults/world.ts';

/** `starting`: the daemon, before it was ready again. */
export type Kills = Record<'daemon' | 'starting' | 'engine' | 'containerd', number>;

const endMs = 300_000;

export async function submit(world: World, snapshot: string, known: Known): Promise<string> {
  const plan = { text: known.text, file: 'plan.yaml' };
  const about = { intent: 'survive', snapshot, workspace: 'w', cache: false, concurrency: 4 };
  const { id } = await world.client.call('runSubmit', { body: { ...about, plan } });
  return id;
}

/**
 * One kill after another until the run is over, or `until` says that it is enough: then it may end
 * in peace. `anew` where it was killed before there was a plan: nobody but its client knows it then.
 */
export async function killUntilOver(
  world: World,
  id: string,
  { kills, until, engine }: { kills: Kills; until: () => boolean; engine: boolean },
): Promise<'over' | 'anew'> {
  while (!until() && !(await isOver(world, id, randomInt(1_800)))) {
    await killOne(world, kills, engine && randomInt(4) === 0);
  }
  const { state, reason = '' } = await endOf(world, id);
  return state === 'unknown' && reason.includes('submit it again') ? 'anew' : 'over';
}

/** The run that goes on from one that used up its attempts. */
export async function resume(world: World, id: string): Promise<string> {
  const body = { mode: 'resume', again: false, dryRun: false } as const;
  return (await world.client.call('runContinue', { params: { id }, body })).id ?? id;
}

async function killOne(world: World, kills: Kills, engine: boolean): Promise<void> {
  if (engine && randomInt(2) === 0) {
    const pid = containerdOf(world.engine.execDir);
    // The engine is about to start it again.
    if (pid === undefined) return;
    kills.containerd += 1;
    process.kill(pid, 'SIGKILL');
    return;
  }
  if (engine) {
    kills.engine += 1;
    await world.killEngine();
    await sleep(randomInt(1_000));
    await world.startEngine();
    return;
  }
  kills.daemon += 1;
  await world.killDaemon();
  while (randomInt(4) === 0) {
    const starting = world.startDaemon().catch(() => {});
    await sleep(randomInt(1_200));
    kills.starting += 1;
    await world.killDaemon();
    await starting;
  }
  await world.startDaemon();
}

/** By its settings file, which dockerd(8) makes for it: the file with its pid is not always there. */
function containerdOf(execDir: string): number | undefined {
  const settings = join(execDir, 'containerd/containerd.toml');
  return readdirSync('/proc')
    .map(Number)
    .find((pid) => pid > 0 && argumentsOf(pid).includes(settings));
}

function argumentsOf(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    return [];
  }
}

/** Looks for so long whether it ends. */
async function isOver(world: World, id: string, forMs: number): Promise<boolean> {
  const endAt = performance.now() + forMs;
  for (;;) {
    if (isClosed(await viewOf(world, id))) return true;
    const left = endAt - performance.now();
    if (left <= 0) return false;
    await sleep(Math.min(left, 200));
  }
}

export async function endOf(world: World, id: string): Promise<RunView> {
  const giveUpAt = performance.now() + endMs;
  while (performance.now() < giveUpAt) {
    await world.revive();
    const view = await viewOf(world, id);
    if (view !== undefined && isClosed(view)) return view;
    await sleep(200);
  }
  throw new Error(`${id} does not end`);
}

async function viewOf(world: World, id: string): Promise<RunView | undefined> {
  return world.client.call('runShow', { params: { id } }).catch(() => undefined);
}

function isClosed(view: RunView | undefined): boolean {
  const over: readonly string[] = runOutcomes;
  return view !== undefined && over.includes(view.state);
}
