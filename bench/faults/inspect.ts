import { readFileSync } from 'node:fs';
import type { AuditRow } from '#contract/audit.ts';
import { parseHost } from '#setup/engine/find.ts';
import { askJson } from '#setup/engine/http.ts';
import { pidsBelowCgroup, shimsOf } from '#setup/engine/processes.ts';
import { leftInState, mounts, readdirIf } from '#test/support/left-in-state.ts';
import type { World } from './world.ts';

/** What the log says and should not: runs or tasks that were begun and never ended. */
export async function openEnds(world: World): Promise<string[]> {
  const open = new Map<string, string>();
  const twice: string[] = [];
  for (let cursor: number | undefined = 0; cursor !== undefined;) {
    const page: { items: AuditRow[]; next_cursor?: number | undefined } = await world.client.call(
      'auditList',
      { query: { limit: 500, cursor } },
    );
    for (const { record } of page.items) {
      const run = record.run ?? '';
      const task = `${run} ${record.obj?.['task'] ?? ''}`;
      if (record.type === 'run.submitted') open.set(run, 'was never closed');
      if (record.type === 'run.closed' && !open.delete(run)) twice.push(`${run} was closed twice`);
      if (record.type === 'task.started') open.set(task, 'never finished');
      if (record.type === 'task.finished') open.delete(task);
    }
    cursor = page.next_cursor;
  }
  return [...twice, ...[...open].map(([what, why]) => `${what} ${why}`)];
}

/** Everything that should not be there once the daemon has stopped. The engine still runs. */
export async function leftovers(world: World): Promise<string[]> {
  const { engine, stateDir } = world;
  return [
    ...(await containers(world)),
    ...(await volumes(world)),
    ...mounts([`${engine.slotsDir}/`]),
    ...readdirIf(engine.slotsDir).map((name) => `directory ${name} of a slot`),
    ...leftInState(stateDir),
    ...pidsBelowCgroup(engine.cgroupParent).map((pid) => `process ${pid} ${commandOf(pid)}`),
    ...shimsOf(engine.execDir).map((pid) => `shim ${pid} of a container that is gone`),
  ];
}

async function containers({ engine }: World): Promise<string[]> {
  const answer = await askJson(parseHost(`unix://${engine.socket}`), {
    path: '/containers/json?all=1',
    timeoutMs: 30_000,
  });
  return (answer as { Names: string[]; State: string }[]).map(
    ({ Names, State }) => `container ${Names[0] ?? ''} (${State})`,
  );
}

async function volumes({ engine }: World): Promise<string[]> {
  const answer = await askJson(parseHost(`unix://${engine.socket}`), {
    path: '/volumes',
    timeoutMs: 30_000,
  });
  const { Volumes } = answer as { Volumes: { Name: string }[] | null };
  return (Volumes ?? []).map(({ Name }) => `volume ${Name}`);
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').slice(0, 80);
  } catch {
    return '';
  }
}
