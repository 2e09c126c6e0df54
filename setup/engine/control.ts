import { readdirSync, rmSync, rmdirSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { OrchestraError } from '#contract/errors.ts';
import { withLock } from '../lock.ts';
import type { EnginePaths } from '../paths.ts';
import type { Progress } from '../progress.ts';
import { ask, askJson } from './http.ts';
import { answering } from './private.ts';
import { isDead, livePid } from './processes.ts';
import { unshareDirectory } from './shared-mount.ts';

export type EngineStatus = {
  running: boolean;
  socket: string;
  dataDir: string;
  logFile: string;
  pid?: number;
  version?: string;
  /** The runtimes that it knows, its own names for them left out. */
  runtimes?: string[];
  /** What images, containers and volumes take; absent when the engine did not say in time. */
  dataBytes?: number;
  containers?: { total: number; running: number; foreignRunning: number };
};

/** Every container of Orchestra carries a label of this family. */
const labelPrefix = 'orchestra.';

const questionMs = 10_000;

/** Facts about Orchestra's own engine. Starts nothing, changes nothing. */
export async function engineStatus(paths: EnginePaths): Promise<EngineStatus> {
  const { socket, dataDir, logFile } = paths;
  const engine = await answering(paths);
  if (engine === undefined) return { running: false, socket, dataDir, logFile };
  const pid = livePid(paths.pidFile);
  const [containers, dataBytes, runtimes] = await Promise.all([
    listContainers(paths),
    usedBytes(paths).catch(() => undefined),
    listRuntimes(paths).catch(() => undefined),
  ]);
  const running = containers.filter((each) => each.State === 'running');
  return {
    running: true,
    socket,
    dataDir,
    logFile,
    version: engine.version,
    ...(pid === undefined ? {} : { pid }),
    ...(dataBytes === undefined ? {} : { dataBytes }),
    ...(runtimes === undefined ? {} : { runtimes }),
    containers: {
      total: containers.length,
      running: running.length,
      foreignRunning: running.filter((each) => !isOurs(each)).length,
    },
  };
}

/**
 * Stops Orchestra's own engine and nothing else; images stay. Its sandboxes are removed first, or
 * each would be waited for. Refuses while containers run that are not Orchestra's, unless forced.
 * Answers false when it was not running.
 */
export async function stopEngine(
  paths: EnginePaths,
  { force = false, progress }: { force?: boolean; progress: Progress },
): Promise<boolean> {
  if (livePid(paths.pidFile) === undefined) return false;
  return withLock(paths.lockFile, async () => {
    // Asked again: whoever held the lock may have stopped it, or started another.
    const pid = livePid(paths.pidFile);
    if (pid === undefined) return false;
    if ((await answering(paths)) !== undefined) await removeSandboxes(paths, force, progress);
    progress('stopping the container engine');
    process.kill(pid, 'SIGTERM');
    const giveUpAt = performance.now() + 30_000;
    while (!isDead(pid)) {
      if (performance.now() > giveUpAt) {
        throw new OrchestraError('engine.failed', 'The container engine did not stop within 30 s', {
          hint: `read ${paths.logFile}, then: kill -9 ${pid}`,
        });
      }
      await sleep(25);
    }
    rmSync(paths.socket, { force: true });
    rmSync(paths.pidFile, { force: true });
    removeEmptyCgroups(paths.cgroupParent);
    unshareDirectory(paths.slotsDir);
    return true;
  });
}

async function removeSandboxes(
  paths: EnginePaths,
  force: boolean,
  progress: Progress,
): Promise<void> {
  const containers = await listContainers(paths);
  const foreign = containers.filter((each) => each.State === 'running' && !isOurs(each));
  if (foreign.length > 0 && !force) {
    throw new OrchestraError(
      'run.conflict',
      `${foreign.length} running container(s) of the engine are not Orchestra’s`,
      {
        hint: 'stop them first, or: orchestra engine stop --force',
        places: foreign.slice(0, 10).map((each) => ({ message: each.Id.slice(0, 12) })),
      },
    );
  }
  const doomed = force ? containers : containers.filter(isOurs);
  if (doomed.length > 0) progress(`removing ${doomed.length} container(s)`);
  for (const { Id } of doomed) {
    const answer = await ask(
      { socketPath: paths.socket },
      { method: 'DELETE', path: `/containers/${Id}?force=1&v=1`, timeoutMs: 30_000 },
    );
    answer.resume();
  }
}

const Containers = z.array(
  z.object({
    Id: z.string().regex(/^[0-9a-f]{64}$/),
    State: z.string(),
    Labels: z.record(z.string(), z.string()).nullish(),
  }),
);
type Container = z.infer<typeof Containers>[number];

async function listContainers(paths: EnginePaths): Promise<Container[]> {
  const answer = await askJson(
    { socketPath: paths.socket },
    { path: '/containers/json?all=1', timeoutMs: questionMs },
  );
  return Containers.parse(answer);
}

function isOurs({ Labels }: Container): boolean {
  // Labels of the image are on its containers too; those say nothing about who made the container.
  return Object.keys(Labels ?? {}).some(
    (label) => label.startsWith(labelPrefix) && !label.startsWith('orchestra.image.'),
  );
}

const Info = z.object({ Runtimes: z.record(z.string().max(256), z.unknown()) });

async function listRuntimes(paths: EnginePaths): Promise<string[]> {
  const answer = await askJson(
    { socketPath: paths.socket },
    { path: '/info', timeoutMs: questionMs },
  );
  const names = Object.keys(Info.parse(answer).Runtimes);
  return names.filter((name) => !name.startsWith('io.containerd.')).toSorted();
}

const Usage = z.object({
  LayersSize: z.number().nullish(),
  Containers: z.array(z.object({ SizeRw: z.number().optional() })).nullish(),
  Volumes: z.array(z.object({ UsageData: z.object({ Size: z.number() }).nullish() })).nullish(),
});

async function usedBytes(paths: EnginePaths): Promise<number> {
  const answer = await askJson(
    { socketPath: paths.socket },
    { path: '/system/df', timeoutMs: questionMs },
  );
  const { LayersSize, Containers: containers, Volumes: volumes } = Usage.parse(answer);
  const sizes = [
    LayersSize ?? 0,
    ...(containers ?? []).map((each) => each.SizeRw ?? 0),
    ...(volumes ?? []).map((each) => Math.max(0, each.UsageData?.Size ?? 0)),
  ];
  return sizes.reduce((sum, size) => sum + size, 0);
}

// The kernel refuses to remove a group that holds a process or another group: nothing can be lost.
function removeEmptyCgroups(parent: string, root = '/sys/fs/cgroup'): void {
  for (const tree of ['', ...readdirSync(root)]) {
    try {
      rmdirSync(path.join(root, tree, parent));
    } catch {
      // Not there, or in use.
    }
  }
}
