import { OrchestraError } from '#contract/errors.ts';
import { RunId } from '#contract/ids.ts';
import type { Log } from '../audit/types.ts';
import { within } from '../base/deadline.ts';
import type { ActContext, Engine } from '../engine/engine.ts';

export type LeftBehind = {
  /** The same engine; use this one from here on. */
  engine: Engine;
  /** How many sandboxes wait to be removed. */
  readonly count: number;
  close(): void;
};

const pauseDefaultMs = 500;
const probeMs = 5_000;

/**
 * Remembers every sandbox whose removal an engine did not answer, and every one that it may have
 * made without saying so, and removes them once it answers again. Nothing is tried, and so nothing
 * is recorded, while it does not. What is still left when the daemon ends, the next start sweeps.
 */
export function rememberLeft(
  engine: Engine,
  { log, pauseMs = pauseDefaultMs }: { log: Pick<Log, 'runState'>; pauseMs?: number },
): LeftBehind {
  const left = new Map<string, ActContext>();
  let timer: NodeJS.Timeout | undefined;

  const keep = (key: string, context: ActContext) => {
    left.set(key, context);
    timer ??= setTimeout(() => void retry(), pauseMs).unref();
  };

  const retry = async () => {
    if (await answers(engine)) {
      for (const [key, context] of left) {
        try {
          await engine.remove(key, contextNow(context, log));
          left.delete(key);
        } catch (error) {
          if (!isLost(error)) left.delete(key);
          break;
        }
      }
    }
    timer = left.size === 0 ? undefined : setTimeout(() => void retry(), pauseMs).unref();
  };

  return {
    engine: {
      ...engine,
      async create(permit, context) {
        try {
          return await engine.create(permit, context);
        } catch (error) {
          if (isLost(error)) keep(permit.spec.name, context);
          throw error;
        }
      },
      async remove(id, context) {
        try {
          await engine.remove(id, context);
          left.delete(id);
        } catch (error) {
          if (isLost(error)) keep(id, context);
          throw error;
        }
      },
    },
    get count() {
      return left.size;
    },
    close() {
      clearTimeout(timer);
      left.clear();
    },
  };
}

/** Whether the engine answers a question that changes nothing. */
export async function answers(engine: Pick<Engine, 'list'>): Promise<boolean> {
  try {
    const late = () => new OrchestraError('engine.unavailable', 'The engine is silent');
    await within(engine.list({ 'orchestra.install': 'nobody' }), probeMs, late);
    return true;
  } catch {
    return false;
  }
}

function isLost(error: unknown): boolean {
  return error instanceof OrchestraError && error.code === 'engine.unavailable';
}

/** Nothing is added to a run that was closed in the meantime. */
function contextNow({ run, ...context }: ActContext, log: Pick<Log, 'runState'>): ActContext {
  const id = RunId.safeParse(run).data;
  const isOpen = id !== undefined && log.runState(id)?.closed === false;
  return { ...context, ...(isOpen ? { run: id } : {}), why: 'left behind' };
}
