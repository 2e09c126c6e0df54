import { OrchestraError } from '#contract/errors.ts';
import type { Digest } from '#contract/ids.ts';
import type { Finding } from '#contract/plan.ts';
import type { TriedPlanner, TroubleCode } from '#contract/planning.ts';
import type { Actor } from '#contract/records.ts';
import type { Log } from '../../audit/types.ts';
import { digestOf } from '../../base/canonical.ts';
import type { Clock } from '../../base/clock.ts';
import type { DraftInput } from '../plan-file.ts';
import { planByRules } from '../plan-by-rules.ts';
import { refusal, type PlanRequest, type Planned } from '../planner.ts';
import { validateDraft } from '../validate.ts';
import { modelContext, quotedJson } from './context.ts';
import { talk, type Judged } from './conversation.ts';
import { draftSchema } from './draft-schema.ts';
import { readKey, type ApiKey, type KeyPlaces } from './key.ts';
import { openModel, type Remembered } from './model.ts';
import { noPlan, unknownPlanner } from './no-plan.ts';
import { firstTurn, promptVersion, systemPrompt } from './prompt.ts';
import { Places } from './places.ts';
import { Rests } from './rests.ts';
import type { ModelSettings, PlannerSettings } from './settings.ts';
import { Spending } from './spending.ts';
import type { SpentToday } from './spent-today.ts';
import type { Survey } from './survey.ts';
import { ModelTrouble } from './trouble.ts';

/** One planner's part in a plan. Words of a provider are not in it. */
export type Tried = TriedPlanner & { code: 'ok' | TroubleCode };

export type WordsRequest = Omit<PlanRequest, 'planText' | 'exec'> & {
  survey: () => Survey;
  /** What else speaks against a sound plan: the policy's word on all of it. */
  review: (made: Planned) => Promise<Finding[]>;
  /** This one alone; otherwise all, in the order of the configuration. */
  planner?: string | undefined;
};

export type Planning = {
  run?: string | undefined;
  /** Who wants to know, where there is no run that says so. */
  actor?: Actor | undefined;
  signal: AbortSignal;
};

export type PlannedByWords = Planned & { tried: Tried[] };

/** What one planner has, when all are asked. */
export type Offer = { tried: Tried; made?: Planned };

export type PlannersOptions = {
  settings: readonly PlannerSettings[];
  withinMs: number;
  keys: KeyPlaces;
  clock: Pick<Clock, 'mono' | 'now'>;
  log: Pick<Log, 'append'>;
  /** A fold over that log. */
  spent: SpentToday;
  /** Before what passes is tried once more, where the provider says nothing. */
  pauseMs?: number;
};

const talksAtOnce = 8;
const pauseMs = 1_000;

/**
 * Who makes plans of words: the planners of the configuration in their order, rules among them,
 * within one deadline. A plan that comes out was found sound by the validator and allowed by the
 * policy, whoever made it.
 */
export class Planners {
  readonly #options: PlannersOptions;
  readonly #rests = new Rests();
  readonly #remembered = new Map<string, Remembered>();
  readonly #places = new Places(talksAtOnce);

  constructor(options: PlannersOptions) {
    this.#options = options;
  }

  /** What was used today, by planner. */
  get spent(): SpentToday {
    return this.#options.spent;
  }

  get names(): string[] {
    return this.#options.settings.map(({ name }) => name);
  }

  /** How each of them stands now, without asking anybody: who rests, and whose key cannot be read. */
  async standing(): Promise<{ name: string; trouble?: string }[]> {
    return Promise.all(
      this.#options.settings.map(async (one) => {
        const { name } = one;
        if (one.kind === 'rules') return { name };
        try {
          const mark = (await this.#keyOf(one))?.mark ?? '';
          const waitMs = this.#rests.waitMs(name, mark, this.#now());
          if (waitMs === 0) return { name };
          return { name, trouble: `is left alone for ${Math.ceil(waitMs / 1000)} s` };
        } catch (error) {
          if (error instanceof ModelTrouble) return { name, trouble: error.message };
          throw error;
        }
      }),
    );
  }

  /** Whether anything can leave this machine for a plan. */
  get hasModels(): boolean {
    return this.#options.settings.some(({ kind }) => kind !== 'rules');
  }

  /** Throws with every reason where none of them has a plan; never asks twice who is resting. */
  async plan(request: WordsRequest, planning: Planning): Promise<PlannedByWords> {
    const chosen = this.#chosen(request.planner);
    const now = this.#now();
    const job = {
      request,
      planning,
      untilMs: now + this.#options.withinMs,
      isNamed: request.planner !== undefined,
    };
    const rules = await byRules(request);
    const tried: Tried[] = [];
    const models = chosen.filter(({ kind }) => kind !== 'rules');
    for (const settings of chosen) {
      if (settings.kind === 'rules') {
        tried.push(idle('rules', 'made' in rules ? 'ok' : 'impossible'));
        if ('made' in rules) return { ...rules.made, tried };
        continue;
      }
      const behind = models.length - 1 - models.indexOf(settings);
      const made = await this.#ask(settings, { ...job, behind, baseline: rules.draft }, tried);
      if (made !== undefined) return { ...made, tried };
    }
    throw noPlan(tried, 'error' in rules ? rules.error : undefined);
  }

  /**
   * Every planner's plan, all asked at once within the same deadline and, where there is one, out
   * of one budget of tokens, shared evenly. Those without a plan are there as well, with the reason.
   */
  async compare(
    request: Omit<WordsRequest, 'planner'>,
    planning: Planning,
    tokens?: number,
  ): Promise<Offer[]> {
    const { settings, withinMs } = this.#options;
    const rules = await byRules(request);
    const untilMs = this.#now() + withinMs;
    const share = tokens && Math.floor(tokens / settings.filter(isModel).length);
    const job = {
      request,
      planning,
      untilMs,
      isNamed: true,
      behind: 0,
      baseline: rules.draft,
      share,
    };
    return Promise.all(
      settings.map(async (one): Promise<Offer> => {
        if (!isModel(one)) {
          if (!('made' in rules)) return { tried: idle('rules', 'impossible') };
          return { tried: idle('rules', 'ok'), made: rules.made };
        }
        const tried: Tried[] = [];
        const made = await this.#ask(one, job, tried);
        const [first = idle(one.name, 'cancelled')] = tried;
        return made === undefined ? { tried: first } : { tried: first, made };
      }),
    );
  }

  /** Throws `planner.unknown`, with the nearest name. */
  assertKnown(name: string): void {
    this.#chosen(name);
  }

  #chosen(name: string | undefined): readonly PlannerSettings[] {
    const { settings } = this.#options;
    if (name === undefined) return settings;
    const found = settings.find((one) => one.name === name);
    if (found === undefined) throw unknownPlanner(name, this.names);
    return [found];
  }

  async #ask(settings: ModelSettings, job: Job, tried: Tried[]): Promise<Planned | undefined> {
    const startedAt = this.#now();
    const spending = new Spending(this.#withinLimits(settings, job.share));
    const seen = { rounds: 0, mark: '' };
    let code: Tried['code'] = 'ok';
    try {
      return await this.#talk(settings, job, spending, seen);
    } catch (error) {
      // The run was cancelled, the log takes nothing, the mistake is ours: no other can do better.
      if (!(error instanceof ModelTrouble)) throw error;
      code = error.code;
      this.#rests.failed(settings.name, seen.mark, error, this.#now());
      return undefined;
    } finally {
      const one: Tried = {
        planner: settings.name,
        code: job.planning.signal.aborted ? 'cancelled' : code,
        ms: Math.round(this.#now() - startedAt),
        rounds: seen.rounds,
        ...spending.used,
        ...(settings.price === undefined ? {} : { costMicro: spending.costMicro }),
      };
      tried.push(one);
      if (seen.rounds > 0) await this.#recordAnswered(one, job.planning);
    }
  }

  async #talk(
    settings: ModelSettings,
    job: Job,
    spending: Spending,
    seen: { rounds: number; mark: string },
  ): Promise<Planned> {
    const { name, budget } = settings;
    const key = await this.#keyOf(settings);
    seen.mark = key?.mark ?? '';
    const leftMs = job.untilMs - this.#now();
    if (leftMs <= 0) throw new ModelTrouble('timeout', 'the time for planning was up');
    this.#assertAwake(name, seen.mark, job);
    // Those behind it need time as well: the first of two has half of it.
    const mineMs = Math.min(budget.timeMs ?? leftMs, leftMs / (job.behind > 0 ? 2 : 1));
    const untilMs = this.#now() + mineMs;
    const { planning, request } = job;
    using _place = await this.#places.take(mineMs, planning.signal);
    // What the one before found out counts for those who waited for it.
    this.#assertAwake(name, seen.mark, job);
    this.#rests.trying(name, seen.mark, this.#now(), mineMs);
    const context = modelContext({ ...request, survey: request.survey(), baseline: job.baseline });
    const digest = digestOf(JSON.parse(quotedJson(context)));
    const { value } = await talk(
      {
        settings,
        spending,
        model: await openModel(settings, key, this.#memoryOf(name)),
        now: () => this.#now(),
        untilMs,
        signal: planning.signal,
        pauseMs: this.#options.pauseMs ?? pauseMs,
        asking: async ({ round, bytes }) => {
          await this.#recordAsked(settings, { context: digest, round, bytes }, planning);
          seen.rounds = round;
        },
      },
      {
        system: systemPrompt,
        first: firstTurn(request.intent, context),
        schema: draftSchema(request.policy.tools),
      },
      (draft) => sound(draft, name, request),
    );
    this.#rests.worked(name);
    return value;
  }

  /** Who is asked by name is asked, resting or not. */
  #assertAwake(name: string, mark: string, { isNamed }: Pick<Job, 'isNamed'>): void {
    if (isNamed || this.#rests.waitMs(name, mark, this.#now()) === 0) return;
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

  #now(): number {
    return this.#options.clock.mono() / 1000;
  }
}

type Job = {
  request: WordsRequest;
  planning: Planning;
  untilMs: number;
  isNamed: boolean;
  /** How many models come after it. */
  behind: number;
  baseline: DraftInput | undefined;
  /** Tokens that it may use, beside its own budget. */
  share?: number | undefined;
};

function isModel(settings: PlannerSettings): settings is ModelSettings {
  return settings.kind !== 'rules';
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

function idle(planner: string, code: Tried['code']): Tried {
  return { planner, code, ms: 0, rounds: 0, inputTokens: 0, outputTokens: 0 };
}

type ByRules =
  { draft: DraftInput; made: Planned } | { draft: DraftInput | undefined; error: OrchestraError };

// Always asked: theirs is the plan to fall back on, and what a model is shown to start from.
async function byRules(request: WordsRequest): Promise<ByRules> {
  let draft: DraftInput | undefined;
  try {
    draft = planByRules(request);
  } catch (error) {
    if (error instanceof OrchestraError) return { draft, error };
    throw error;
  }
  const found = await sound(draft, 'rules', request);
  if (found.ok) return { draft, made: found.value };
  return { draft, error: refusal(found.findings, 'rules') };
}

async function sound(
  draft: DraftInput,
  planner: string,
  { policy, image, imageTools, review }: WordsRequest,
): Promise<Judged<Planned>> {
  const result = validateDraft(draft, { planner, policy, image, imageTools });
  if (!result.ok) return result;
  const { plan, digest, clamped } = result;
  const draftBytes = Buffer.byteLength(JSON.stringify(draft));
  const made = { plan, digest, clamped, draftBytes };
  const denied = await review(made);
  return denied.length > 0 ? { ok: false, findings: denied } : { ok: true, value: made };
}
