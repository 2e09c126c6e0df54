import type { Digest } from '#contract/ids.ts';
import type { TriedPlanner, TroubleCode } from '#contract/planning.ts';
import type { Actor } from '#contract/records.ts';
import type { Log } from '../../audit/types.ts';
import { digestOf } from '../../base/canonical.ts';
import type { Clock } from '../../base/clock.ts';
import { quotedJson } from './context.ts';
import { talk, type Judged, type Question } from './conversation.ts';
import { readKey, type ApiKey, type KeyPlaces } from './key.ts';
import { openModel, type Remembered } from './model.ts';
import { Places } from './places.ts';
import { promptVersion } from './prompt.ts';
import { Rests } from './rests.ts';
import type { ModelSettings } from './settings.ts';
import { Spending } from './spending.ts';
import type { SpentToday } from './spent-today.ts';
import { ModelTrouble } from './trouble.ts';

/** One planner's part in a plan. Words of a provider are not in it. */
export type Tried = TriedPlanner & { code: 'ok' | TroubleCode };

export type Planning = {
  run?: string | undefined;
  /** Who wants to know, where there is no run that says so. */
  actor?: Actor | undefined;
  signal: AbortSignal;
};

/** Something to ask a model: what it is told, and what its answer has to be. */
export type Consultation<D, T> = Question<D> & {
  /** The data in `first`; its digest goes on record before it leaves. */
  told: unknown;
  /** What was read → what comes of it, or everything that is wrong with it, which goes back. */
  judge: (draft: D) => Promise<Judged<T>>;
};

export type AskerOptions = {
  keys: KeyPlaces;
  clock: Pick<Clock, 'mono' | 'now'>;
  log: Pick<Log, 'append'>;
  /** A fold over that log. */
  spent: SpentToday;
  /** Before what passes is tried once more, where the provider says nothing. */
  pauseMs?: number;
};

export type Turn = {
  planning: Planning;
  /** By the asker's clock. */
  untilMs: number;
  /** Who is asked by name is asked, resting or not. */
  isNamed: boolean;
  /** How many come after it, and need time as well. */
  behind: number;
  /** Tokens that it may use, beside its own budget. */
  share?: number | undefined;
};

const talksAtOnce = 8;
const pauseMs = 1_000;

/**
 * Asks one model one thing, whatever it is: its key, its budget, its rest, its record. Never more
 * than eight conversations at once.
 */
export class Asker {
  readonly #options: AskerOptions;
  readonly #rests = new Rests();
  readonly #remembered = new Map<string, Remembered>();
  readonly #places = new Places(talksAtOnce);

  constructor(options: AskerOptions) {
    this.#options = options;
  }

  /**
   * The answer, where there is one, and what it took. Throws only what is no matter of the provider:
   * the caller went away, the log takes nothing, the mistake is ours.
   */
  async ask<D, T>(
    settings: ModelSettings,
    consultation: Consultation<D, T>,
    turn: Turn,
  ): Promise<{ value?: T; tried: Tried }> {
    const startedAt = this.now();
    const spending = new Spending(this.#withinLimits(settings, turn.share));
    const seen = { rounds: 0, mark: '' };
    const tried = (code: Tried['code']): Tried => ({
      planner: settings.name,
      code: turn.planning.signal.aborted ? 'cancelled' : code,
      ms: Math.round(this.now() - startedAt),
      rounds: seen.rounds,
      ...spending.used,
      ...(settings.price === undefined ? {} : { costMicro: spending.costMicro }),
    });
    let code: Tried['code'] = 'ok';
    try {
      const value = await this.#talk(settings, consultation, turn, spending, seen);
      return { value, tried: tried('ok') };
    } catch (error) {
      if (!(error instanceof ModelTrouble)) throw error;
      code = error.code;
      this.#rests.failed(settings.name, seen.mark, error, this.now());
      return { tried: tried(code) };
    } finally {
      if (seen.rounds > 0) await this.#recordAnswered(tried(code), turn.planning);
    }
  }

  async #talk<D, T>(
    settings: ModelSettings,
    { told, judge, ...question }: Consultation<D, T>,
    { planning, isNamed, behind, ...turn }: Turn,
    spending: Spending,
    seen: { rounds: number; mark: string },
  ): Promise<T> {
    const { name, budget } = settings;
    const key = await this.#keyOf(settings);
    seen.mark = key?.mark ?? '';
    const leftMs = turn.untilMs - this.now();
    if (leftMs <= 0) throw new ModelTrouble('timeout', 'the time for planning was up');
    this.#assertAwake(name, seen.mark, isNamed);
    // Those behind it need time as well: the first of two has half of it.
    const mineMs = Math.min(budget.timeMs ?? leftMs, leftMs / (behind > 0 ? 2 : 1));
    const untilMs = this.now() + mineMs;
    using _place = await this.#places.take(mineMs, planning.signal);
    // What the one before found out counts for those who waited for it.
    this.#assertAwake(name, seen.mark, isNamed);
    this.#rests.trying(name, seen.mark, this.now(), mineMs);
    const context = digestOf(JSON.parse(quotedJson(told)));
    const { value } = await talk(
      {
        settings,
        spending,
        model: await openModel(settings, key, this.#memoryOf(name)),
        now: () => this.now(),
        untilMs,
        signal: planning.signal,
        pauseMs: this.#options.pauseMs ?? pauseMs,
        asking: async ({ round, bytes }) => {
          await this.#recordAsked(settings, { context, round, bytes }, planning);
          seen.rounds = round;
        },
      },
      question,
      judge,
    );
    this.#rests.worked(name);
    return value;
  }

  /** How it stands now, without asking it: whether it rests, or its key cannot be read. */
  async troubleOf(settings: ModelSettings): Promise<string | undefined> {
    try {
      const mark = (await this.#keyOf(settings))?.mark ?? '';
      const waitMs = this.#rests.waitMs(settings.name, mark, this.now());
      return waitMs === 0 ? undefined : `is left alone for ${Math.ceil(waitMs / 1000)} s`;
    } catch (error) {
      if (error instanceof ModelTrouble) return error.message;
      throw error;
    }
  }

  /** Milliseconds of a clock that never goes back. */
  now(): number {
    return this.#options.clock.mono() / 1000;
  }

  #assertAwake(name: string, mark: string, isNamed: boolean): void {
    if (isNamed || this.#rests.waitMs(name, mark, this.now()) === 0) return;
    throw new ModelTrouble('resting', 'it failed before and is left alone for a while');
  }

  /** Its own budget, or what is less: its share of a common one, what is left of the day's. */
  #withinLimits(settings: ModelSettings, share: number | undefined): ModelSettings {
    const { name, budget } = settings;
    const { spent, clock } = this.#options;
    const today = spent.of(name, clock.now());
    const left = (most: number | undefined, used: number) =>
      most === undefined ? Infinity : Math.max(0, most - used);
    const tokens = Math.min(
      budget.tokens ?? Infinity,
      share ?? Infinity,
      left(budget.dayTokens, today.tokens),
    );
    const costMicro = Math.min(
      budget.costMicro ?? Infinity,
      left(budget.dayCostMicro, today.costMicro),
    );
    const finite = (most: number) => (most === Infinity ? undefined : most);
    return {
      ...settings,
      budget: { ...budget, tokens: finite(tokens), costMicro: finite(costMicro) },
    };
  }

  async #keyOf({ key }: ModelSettings): Promise<ApiKey | undefined> {
    return key === undefined ? undefined : readKey(key, this.#options.keys);
  }

  #memoryOf(name: string): Remembered {
    const found = this.#remembered.get(name) ?? {};
    this.#remembered.set(name, found);
    return found;
  }

  /** On record before anything leaves the machine: to whom, how much, and the digest of what. */
  async #recordAsked(
    { name, kind, model, baseUrl }: ModelSettings,
    question: { context: Digest; round: number; bytes: number },
    { run, actor }: Planning,
  ): Promise<void> {
    await this.#options.log.append({
      type: 'planner.asked',
      ...(run === undefined ? { actor } : { run }),
      data: { planner: name, kind, model, host: baseUrl.host, prompt: promptVersion, ...question },
    });
  }

  async #recordAnswered(one: Tried, { run, actor }: Planning): Promise<void> {
    await this.#options.log.append({
      type: 'planner.answered',
      ...(run === undefined ? { actor } : { run }),
      outcome: one.code === 'ok' ? 'ok' : 'failed',
      data: triedData(one),
    });
  }
}

/** In the words of the records. */
export function triedData(one: Tried) {
  return {
    planner: one.planner,
    code: one.code,
    ms: one.ms,
    rounds: one.rounds,
    input_tokens: one.inputTokens,
    output_tokens: one.outputTokens,
    ...(one.costMicro === undefined ? {} : { cost_micro: one.costMicro }),
  };
}
