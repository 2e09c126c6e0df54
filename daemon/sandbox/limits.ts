import { OrchestraError } from '#contract/errors.ts';
import type { Usage } from '../engine/engine.ts';
import { isLayered, type SandboxSpec } from '../policy/spec.ts';
import type { DiskWatch } from '../workspace/disk-watch.ts';
import type { DiskUse } from '../workspace/measure.ts';
import type { Ending } from './ending.ts';
import { watchIdle } from './idle.ts';
import type { OutputSink } from './output.ts';
import type { TaskClock } from './task-clock.ts';

export type LimitWatch = Disposable & {
  /** What output goes through, so that silence is noticed. */
  sink: OutputSink;
  /** To be told of each reading of usage. */
  onUsage(usage: Usage): void;
  /** What is known once the task is dead; measures what it left. */
  atEnd(): Promise<{ silentMs: number; disk?: DiskUse }>;
  /** Why the task could not go on through no fault of its own. */
  failure(): OrchestraError | undefined;
};

/** Ends a task that passes a limit which neither the engine nor a timer keeps. */
export function watchLimits(
  spec: Pick<SandboxSpec, 'limits' | 'mounts'>,
  parts: { ending: Ending; time: TaskClock; disk: DiskWatch | undefined; output: OutputSink },
): LimitWatch {
  const { ending, time, disk, output } = parts;
  const { limits } = spec;
  let processes: readonly number[] = [];
  let seen: DiskUse = { bytes: 0, files: 0 };
  let failure: OrchestraError | undefined;
  let silentMs = 0;
  const onIdle = () => {
    silentMs = idle.silentMs();
    ending.ask('idle');
  };
  const idle = watchIdle(limits.idleMs, onIdle, time);
  const watched = disk?.watch({
    dirs: spec.mounts.flatMap((mount) => (isLayered(mount) ? [mount.upper] : [])),
    allowance: { bytes: limits.diskBytes, files: limits.diskFiles },
    processes: () => processes,
    onOver: (limit, use) => {
      seen = use;
      ending.kill(limit);
    },
    onFailure: (error) => {
      failure = error;
      ending.kill(error.code === 'disk.low' ? 'disk_low' : 'failed');
    },
  });
  return {
    sink: idle.around(output),
    onUsage: (usage) => {
      processes = usage.processes ?? processes;
      // Whatever else goes on in it: one of its processes is missing now.
      if ((usage.oomKills ?? 0) > 0) ending.kill('memory');
      else if (usage.forksRefused > 0) ending.kill('pids');
    },
    atEnd: async () => {
      if (watched === undefined) return { silentMs };
      const left = await watched.final().catch((error: unknown) => {
        if (!(error instanceof OrchestraError)) throw error;
        failure ??= error;
        return seen;
      });
      return {
        silentMs,
        disk: { bytes: most(left, seen, 'bytes'), files: most(left, seen, 'files') },
      };
    },
    failure: () => failure,
    [Symbol.dispose]: () => {
      idle[Symbol.dispose]();
      watched?.[Symbol.dispose]();
    },
  };
}

/** What the daemon's own disk said no to, in words that name the remedy. */
export function nameDiskFailure(failure: unknown): unknown {
  const { code } = failure as NodeJS.ErrnoException;
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return failure;
  return new OrchestraError('disk.full', 'The state directory has no room for the output', {
    hint: 'free some space there; the task was ended',
    cause: failure,
  });
}

function most(a: DiskUse, b: DiskUse, what: keyof DiskUse): number {
  return Math.max(a[what], b[what]);
}
