import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { AuditRow } from '#contract/api.ts';
import { parseHost } from '#setup/engine/find.ts';
import { askJson } from '#setup/engine/http.ts';
import { pidsBelowCgroup, shimsOf } from '#setup/engine/processes.ts';
import type { World } from './world.ts';

const root = new URL('../..', import.meta.url).pathname;

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
    ...mounts([`${engine.slotsDir}/`, `${stateDir}/`]),
    ...readdirIf(engine.slotsDir).map((name) => `directory ${name} of a slot`),
    ...layers(stateDir),
    ...readdirIf(join(stateDir, 'output')).flatMap((run) =>
      readdirIf(join(stateDir, 'output', run)).map((file) => `output file ${run}/${file}`),
    ),
    ...pidsBelowCgroup(engine.cgroupParent).map((pid) => `process ${pid} ${commandOf(pid)}`),
    ...shimsOf(engine.execDir).map((pid) => `shim ${pid} of a container that is gone`),
    ...verified(stateDir),
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

function mounts(beneath: readonly string[]): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((place) => beneath.some((dir) => place.startsWith(dir)))
    .map((place) => `mount ${basename(place)}`);
}

/** Directories of layers that no sealed layer names. */
function layers(stateDir: string): string[] {
  const sealed = new Set(
    readdirIf(join(stateDir, 'layers')).map((digest) =>
      basename(readlinkSync(join(stateDir, 'layers', digest))),
    ),
  );
  return readdirIf(join(stateDir, 'l'))
    .filter((id) => !sealed.has(id))
    .map((id) => `layer directory ${id}`);
}

function verified(stateDir: string): string[] {
  try {
    const args = [join(root, 'verifier/main.ts'), join(stateDir, 'audit')];
    execFileSync(process.execPath, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    return [];
  } catch (error) {
    return [`the log does not verify: ${String((error as { stdout?: unknown }).stdout)}`];
  }
}

function readdirIf(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').slice(0, 80);
  } catch {
    return '';
  }
}
