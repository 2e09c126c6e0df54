import type { TroubleCode } from '#contract/planning.ts';
import type { ModelTrouble } from './trouble.ts';

type Rest = {
  failures: number;
  times: number;
  untilMs: number;
  /** Of the key with which it failed: with another one it is worth a try at once. */
  mark: string;
};

const failuresMax = 3;
const firstMs = 30_000;
const longestMs = 600_000;
const atOnceMs = 300_000;
const askedMaxMs = 3_600_000;

/** What does not become better by asking again, only by somebody who changes something. */
const lasting: readonly TroubleCode[] = ['auth', 'billing', 'config'];
const passing: readonly TroubleCode[] = ['rate_limit', 'overloaded', 'network', 'timeout'];

const answered: readonly TroubleCode[] = ['refusal', 'truncated', 'too_large', 'invalid', 'denied'];

/**
 * Which planners are left alone for a while: after three failures in a row of what passes, at once
 * after what lasts, and for as long as a provider asks for, an hour at most. When its time is over
 * one plan tries it again. Times are milliseconds of a clock that never goes back.
 *
 * State is of this daemon only: after a restart everything is tried again.
 */
export class Rests {
  readonly #rests = new Map<string, Rest>();

  /** Milliseconds until it may be asked; 0 where that is now. */
  waitMs(planner: string, mark: string, now: number): number {
    const rest = this.#rests.get(planner);
    return rest === undefined || rest.mark !== mark ? 0 : Math.max(0, rest.untilMs - now);
  }

  /** Somebody tries it again: meanwhile the others go past. */
  trying(planner: string, mark: string, now: number, ms: number): void {
    const rest = this.#rests.get(planner);
    if (rest?.mark === mark && rest.times > 0) rest.untilMs = now + ms;
  }

  worked(planner: string): void {
    this.#rests.delete(planner);
  }

  failed(planner: string, mark: string, trouble: ModelTrouble, now: number): void {
    const { code, retryAfterMs = 0 } = trouble;
    // It answered, if not as one would like: it is in order.
    if (answered.includes(code)) this.#rests.delete(planner);
    if (!lasting.includes(code) && !passing.includes(code)) return;
    const known = this.#rests.get(planner);
    const rest = known?.mark === mark ? known : { failures: 0, times: 0, untilMs: 0, mark };
    rest.failures += 1;
    const isLasting = lasting.includes(code);
    const ownMs = isLasting
      ? atOnceMs
      : rest.failures < failuresMax
        ? 0
        : Math.min(longestMs, firstMs * 2 ** Math.min(rest.times, 16));
    const ms = Math.max(ownMs, Math.min(askedMaxMs, retryAfterMs));
    if (ms > 0) rest.times += 1;
    rest.untilMs = now + ms;
    this.#rests.set(planner, rest);
  }
}
