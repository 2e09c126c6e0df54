import { setTimeout as pause } from 'node:timers/promises';
import { OrchestraError } from '#contract/errors.ts';
import type { RecordData } from '#contract/records.ts';
import type { Engine } from '../engine/engine.ts';
import { answers } from '../sandbox/left-behind.ts';
import { Stop } from './stop.ts';

type Options = { patienceMs?: number; pauseMs?: number };

/** Whether the engine is there, asked by all tasks together. */
export class EngineWatch {
  readonly #engine: Pick<Engine, 'list'>;
  readonly #patienceMs: number;
  readonly #pauseMs: number;
  #wait: Promise<boolean> | undefined;

  constructor(engine: Pick<Engine, 'list'>, { patienceMs = 30_000, pauseMs = 250 }: Options = {}) {
    this.#engine = engine;
    this.#patienceMs = patienceMs;
    this.#pauseMs = pauseMs;
  }

  /** At once where nobody misses the engine; else whether it came back. */
  async ready(signal: AbortSignal): Promise<boolean> {
    return this.#wait === undefined ? true : this.back(signal);
  }

  /** Whether it answers within the patience of this daemon; true at once when it does now. */
  async back(signal: AbortSignal): Promise<boolean> {
    this.#wait ??= this.#untilBack().finally(() => {
      this.#wait = undefined;
    });
    const stopped = new Promise<boolean>((resolve) => {
      if (signal.aborted) resolve(false);
      signal.addEventListener('abort', () => resolve(false), { once: true });
    });
    return Promise.race([this.#wait, stopped]);
  }

  async answersNow(): Promise<boolean> {
    return answers(this.#engine);
  }

  /** Why a run ends that cannot go on without the engine. */
  stop(): Stop {
    const seconds = Math.round(this.#patienceMs / 1000);
    return new Stop('engine_lost', `the engine did not come back within ${seconds} s`);
  }

  async #untilBack(): Promise<boolean> {
    const giveUpAt = performance.now() + this.#patienceMs;
    for (;;) {
      if (await answers(this.#engine)) return true;
      if (performance.now() >= giveUpAt) return false;
      await pause(this.#pauseMs);
    }
  }
}

type Lost = Pick<RecordData<'task.finished'>, 'outcome'> & { reason: string };

/**
 * What a task came to that failed because the engine went away; undefined where the engine is not
 * to blame. `onUnknown` hears of it before anybody waits for the engine. Nobody saw how such a task would have ended. An engine that comes back in time lets the
 * run go on with what does not depend on it; one that does not ends the run.
 */
export async function engineLoss(
  watch: EngineWatch,
  run: { controller: AbortController },
  error: unknown,
  onUnknown: () => Promise<unknown> = async () => {},
): Promise<Lost | undefined> {
  if (!(error instanceof OrchestraError) || !error.code.startsWith('engine.')) return undefined;
  // A stream that broke off, or a kill that did not arrive, is told in other words.
  if (error.code !== 'engine.unavailable' && (await watch.answersNow())) return undefined;
  await onUnknown();
  const { signal } = run.controller;
  if (!(await watch.back(signal)) && !signal.aborted) run.controller.abort(watch.stop());
  return { outcome: 'unknown', reason: `${error.code}: the engine went away under the task` };
}

/** Lets a task wait while the engine is missed. Throws where the run ends because of it. */
export async function awaitEngine(
  watch: EngineWatch,
  { controller }: { controller: AbortController },
): Promise<void> {
  if (await watch.ready(controller.signal)) return;
  if (!controller.signal.aborted) controller.abort(watch.stop());
  throw controller.signal.reason;
}
