import { OrchestraError } from '#contract/errors.ts';
import type { Actor, AnyRecord } from '#contract/records.ts';
import type { Log } from '../types.ts';

export type Hold = {
  name: string;
  reason: string;
  /** UTC, both inclusive; the whole log where neither is said. */
  since?: string;
  until?: string;
  at: string;
  by: string;
};

const holdsMax = 64;

/** What must not be pruned whatever its age, because somebody said so: a fold over the log. */
export class Holds {
  readonly #holds = new Map<string, Hold>();

  fold(record: AnyRecord): void {
    if (record.type === 'log.hold.cleared') this.#holds.delete(record.data.hold);
    if (record.type !== 'log.hold.set') return;
    const { hold: name, reason, since, until } = record.data;
    const { name: who, uid, kind } = record.actor;
    this.#holds.set(name, {
      name,
      reason,
      ...(since === undefined ? {} : { since }),
      ...(until === undefined ? {} : { until }),
      at: record.ts,
      by: who ?? (uid === undefined ? kind : `uid:${uid}`),
    });
  }

  /** In the order in which they were set. */
  all(): Hold[] {
    return [...this.#holds.values()];
  }

  /** One that is about a time, in UTC milliseconds, both inclusive. */
  over(from: number, to: number): Hold | undefined {
    return this.all().find(
      ({ since, until }) =>
        (since === undefined || Date.parse(since) <= to) &&
        (until === undefined || Date.parse(until) >= from),
    );
  }

  async set(log: Pick<Log, 'append'>, hold: NewHold, actor: Actor): Promise<void> {
    const { name, reason, since, until } = hold;
    if (this.#holds.has(name)) {
      throw new OrchestraError('run.conflict', `There is a hold ${name} already`, {
        hint: 'orchestra audit hold list',
      });
    }
    if (this.#holds.size >= holdsMax) {
      throw new OrchestraError('request.invalid', `There are ${holdsMax} holds already`);
    }
    if (since !== undefined && until !== undefined && Date.parse(since) > Date.parse(until)) {
      throw new OrchestraError('request.invalid', 'A hold ends before it begins');
    }
    const data = { hold: name, reason, since, until };
    await log.append({ type: 'log.hold.set', sev: 'notice', actor, data });
  }

  async clear(
    log: Pick<Log, 'append'>,
    { name, reason }: Pick<Hold, 'name' | 'reason'>,
    actor: Actor,
  ): Promise<void> {
    if (!this.#holds.has(name)) {
      throw new OrchestraError('request.invalid', `There is no hold ${name}`, {
        hint: 'orchestra audit hold list',
      });
    }
    const data = { hold: name, reason };
    await log.append({ type: 'log.hold.cleared', sev: 'warn', actor, data });
  }
}

export type NewHold = {
  name: string;
  reason: string;
  since?: string | undefined;
  until?: string | undefined;
};
