import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { OrchestraError } from '#contract/errors.ts';
import type { Log } from '../audit/types.ts';
import type { Attached, ContainerExit, Engine, OutputPiece } from './engine.ts';
import { exitCodeOf, type Kernel, type ProcessHandle } from './kernel.ts';

type Watched = {
  process: ProcessHandle;
  startedAt: string;
  /** When its output ended, which is the first sign that it is over. */
  silentSince: number | undefined;
  /** Cuts the current pause between two looks short. */
  wake: () => void;
  engine: Promise<ContainerExit> | undefined;
  /** The confirmation of what the kernel told. */
  confirmed: Promise<void> | undefined;
};

/** Pauses between two looks at a process, ms: a look costs microseconds, so often at first. */
const soonestMs = 1;
const latestMs = 25;
const killed = 137;
/** What Docker says of a container that it finds dead after it was away itself. */
const unseen = 255;
const confirmMs = 10_000;

/**
 * Who learns first that a container is over. The kernel tells at once, the engine some ten
 * milliseconds later; what the kernel told is confirmed by the engine's word afterwards, on record.
 */
export function openExits(parts: {
  driver: Engine;
  log: Pick<Log, 'append' | 'blocked'>;
  kernel: Kernel | undefined;
  /** Whether a process is of this container; by its cgroup if left out. */
  belongsTo?: (pid: number, id: string) => Promise<boolean>;
}) {
  const { driver, log, kernel, belongsTo = isInGroupOf } = parts;
  const watched = new Map<string, Watched>();

  return {
    /** Keeps hold of the first process of a container; false where it is not of it. */
    async watch(id: string, pid: number): Promise<boolean> {
      const process = kernel?.openProcess(pid);
      if (process === undefined) return belongsTo(pid, id);
      // Held first and looked at then: a number that another process got meanwhile shows here.
      if (!(await belongsTo(pid, id))) {
        process.close();
        return false;
      }
      const startedAt = new Date().toISOString();
      watched.set(id, {
        process,
        startedAt,
        silentSince: undefined,
        wake: () => {},
        engine: undefined,
        confirmed: undefined,
      });
      return true;
    },

    /** Listens for the end of the output on the way through. */
    hear(id: string, attached: Attached): Attached {
      const isOpen = () => attached.isOpen() && watched.get(id)?.process.exitStatus() === undefined;
      return {
        ...attached,
        isOpen,
        output: heard(attached.output, () => signOfEnd(watched.get(id))),
      };
    },

    async wait(id: string, signal?: AbortSignal): Promise<ContainerExit> {
      const one = watched.get(id);
      if (one === undefined) return driver.wait(id, signal);
      const stop = new AbortController();
      const both = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
      // Goes on after the kernel answered, so it does not end with this wait.
      one.engine ??= driver.wait(id);
      one.engine.catch(() => {});
      try {
        const first = await Promise.race([
          given(signal),
          one.engine,
          lookUntilOver(one, both).then((exit) => exit ?? new Promise<never>(() => {})),
        ]);
        if (first.by === 'engine') return believed(first, one);
        // Only the engine can tell a kill for want of memory from any other.
        if (first.exitCode === killed) {
          return believed(await Promise.race([given(signal), one.engine]), one);
        }
        one.confirmed ??= confirm(log, id, first, one.engine);
        return first;
      } finally {
        stop.abort();
      }
    },

    /** Gives the engine a while to confirm what the kernel told, before the container is gone. */
    async settled(id: string): Promise<void> {
      const confirmed = watched.get(id)?.confirmed;
      if (confirmed === undefined) return;
      await Promise.race([confirmed, sleep(confirmMs, undefined, { ref: false })]);
    },

    forget(id: string): void {
      watched.get(id)?.process.close();
      watched.delete(id);
    },
  };
}

/**
 * A task may end with it as well, and then the kernel says the same; or something else, which it knows
 * better. Of a kill, and where it says nothing, nobody saw how the task ended.
 */
function believed(exit: ContainerExit, { process }: Watched): ContainerExit {
  if (exit.exitCode !== unseen) return exit;
  const status = process.exitStatus();
  const exitCode = status === undefined ? killed : exitCodeOf(status);
  if (exitCode === killed) throw nobodySaw();
  return exitCode === unseen ? exit : { ...exit, by: 'kernel', exitCode, oomKilled: false };
}

/** Of one that was over when it was found, and that no kernel can tell of any more. */
export function assertSeen(exit: ContainerExit): ContainerExit {
  if (exit.exitCode === unseen) throw nobodySaw();
  return exit;
}

function nobodySaw(): OrchestraError {
  return new OrchestraError('engine.unavailable', 'The engine did not see how a sandbox ended');
}

/** Resolves with undefined once `signal` gives up. */
async function lookUntilOver(
  one: Watched,
  signal: AbortSignal,
): Promise<ContainerExit | undefined> {
  const since = performance.now();
  while (!signal.aborted) {
    const status = one.process.exitStatus();
    if (status !== undefined) {
      return {
        by: 'kernel',
        exitCode: exitCodeOf(status),
        oomKilled: false,
        startedAt: one.startedAt,
        finishedAt: new Date().toISOString(),
      };
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    one.wake = resolve;
    // A task that is young, or fell silent a moment ago, is likely to be over soon.
    const age = performance.now() - Math.max(since, one.silentSince ?? 0);
    const pause = Math.min(latestMs, Math.max(soonestMs, age / 20));
    const timer = setTimeout(resolve, pause);
    await promise;
    clearTimeout(timer);
  }
  return undefined;
}

function signOfEnd(one: Watched | undefined): void {
  if (one === undefined) return;
  one.silentSince = performance.now();
  one.wake();
}

async function* heard(
  output: AsyncIterable<OutputPiece>,
  onEnd: () => void,
): AsyncGenerator<OutputPiece, void, undefined> {
  try {
    yield* output;
  } finally {
    onEnd();
  }
}

async function given(signal: AbortSignal | undefined): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  const stop = () =>
    reject(new OrchestraError('engine.unavailable', 'Waiting for a sandbox was given up'));
  if (signal?.aborted === true) stop();
  signal?.addEventListener('abort', stop, { once: true });
  return promise;
}

async function confirm(
  log: Pick<Log, 'append' | 'blocked'>,
  id: string,
  told: ContainerExit,
  engine: Promise<ContainerExit>,
): Promise<void> {
  const said = await engine.catch(() => undefined);
  if (said === undefined || log.blocked) return;
  const agrees = said.exitCode === told.exitCode;
  const data = { exit_code: said.exitCode, oom_killed: said.oomKilled, agrees };
  const sev = agrees ? 'info' : 'alert';
  const obj = { container: id };
  await log.append({ type: 'container.confirmed', sev, data, obj }).catch(() => {});
}

/** Engines name the group of a container by its id. */
async function isInGroupOf(pid: number, id: string): Promise<boolean> {
  const groups = await readFile(`/proc/${pid}/cgroup`, 'latin1').catch(() => '');
  return groups.includes(id);
}
