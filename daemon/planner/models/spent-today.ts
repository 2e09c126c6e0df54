import type { AnyRecord } from '#contract/records.ts';

export type Spent = { tokens: number; costMicro: number };

/** What each planner used on the day of its last answer, by UTC: a fold over the log. */
export class SpentToday {
  readonly #spent = new Map<string, Spent & { day: string }>();

  fold(record: AnyRecord): void {
    if (record.type !== 'planner.answered') return;
    const { planner, input_tokens, output_tokens, cost_micro = 0 } = record.data;
    const day = record.ts.slice(0, 10);
    const known = this.#spent.get(planner);
    const before = known?.day === day ? known : { tokens: 0, costMicro: 0 };
    // Names come from the configuration; of a long log only the last of them count.
    if (known === undefined && this.#spent.size >= plannersMax) {
      const [oldest] = this.#spent.keys();
      if (oldest !== undefined) this.#spent.delete(oldest);
    }
    this.#spent.set(planner, {
      day,
      tokens: before.tokens + input_tokens + output_tokens,
      costMicro: before.costMicro + cost_micro,
    });
  }

  /** On the day of that moment, ms since 1970. */
  of(planner: string, now: number): Spent {
    const found = this.#spent.get(planner);
    const isToday = found?.day === new Date(now).toISOString().slice(0, 10);
    return isToday
      ? { tokens: found.tokens, costMicro: found.costMicro }
      : { tokens: 0, costMicro: 0 };
  }

  /** All of it, for a comparison. */
  all(): [string, Spent & { day: string }][] {
    return [...this.#spent].sort(([a], [b]) => (a < b ? -1 : 1));
  }
}

const plannersMax = 256;
