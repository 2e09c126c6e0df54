import { OrchestraError } from '#contract/errors.ts';
import type { Finding } from '#contract/plan.ts';
import type { DraftInput } from '../plan-file.ts';
import { planByRules } from '../plan-by-rules.ts';
import { refusal, type PlanRequest, type Planned } from '../planner.ts';
import { readOperations, operationsSchema, type Operation } from '../replan/operations.ts';
import { replanContext, replanPrompt, replanTurn, type ReplanFacts } from '../replan/prompt.ts';
import { validateDraft } from '../validate.ts';
import { Asker, type AskerOptions, type Consultation, type Planning, type Tried } from './asker.ts';
import { modelContext, type ContextFacts } from './context.ts';
import type { Judged } from './conversation.ts';
import { draftSchema } from './draft-schema.ts';
import { noPlan, unknownPlanner } from './no-plan.ts';
import { firstTurn, systemPrompt } from './prompt.ts';
import { readDraft } from './read-draft.ts';
import type { ModelSettings, PlannerSettings } from './settings.ts';
import type { SpentToday } from './spent-today.ts';
import type { Survey } from './survey.ts';

export type WordsRequest = Omit<PlanRequest, 'planText' | 'exec'> & {
  /** What the image was found to have, where all of it may be planned with. */
  programs?: ContextFacts['programs'];
  survey: () => Survey;
  /** What else speaks against a sound plan: the policy's word on all of it. */
  review: (made: Planned) => Promise<Finding[]>;
  /** This one alone; otherwise all, in the order of the configuration. */
  planner?: string | undefined;
};

export type PlannedByWords = Planned & { tried: Tried[] };

/** What is left of a plan of which a task failed for good, and what was done about it. */
export type ReplanRequest<T> = {
  intent: string;
  facts: ReplanFacts;
  tools: readonly string[];
  /** What the rules would do, where they are sure. */
  remedy: readonly Operation[] | undefined;
  /** Whether what comes of operations is sound and allowed. */
  judge: (operations: readonly Operation[]) => Promise<Judged<T>>;
};

/** `value` is undefined where nobody knows a way. */
export type Replanned<T> = { value: T | undefined; planner: string; tried: Tried[] };

/** What one planner has, when all are asked. */
export type Offer = { tried: Tried; made?: Planned };

export type PlannersOptions = AskerOptions & {
  settings: readonly PlannerSettings[];
  withinMs: number;
};

/**
 * Who makes plans of words: the planners of the configuration in their order, rules among them,
 * within one deadline. A plan that comes out was found sound by the validator and allowed by the
 * policy, whoever made it.
 */
export class Planners {
  readonly #options: PlannersOptions;
  readonly #asker: Asker;

  constructor(options: PlannersOptions) {
    this.#options = options;
    this.#asker = new Asker(options);
  }

  /** What was used today, by planner. */
  get spent(): SpentToday {
    return this.#options.spent;
  }

  get names(): string[] {
    return this.#options.settings.map(({ name }) => name);
  }

  /** Whether anything can leave this machine for a plan. */
  get hasModels(): boolean {
    return this.#options.settings.some(isModel);
  }

  /** How each of them stands now, without asking anybody. */
  async standing(): Promise<{ name: string; trouble: string | undefined }[]> {
    return Promise.all(
      this.#options.settings.map(async (one) => ({
        name: one.name,
        trouble: isModel(one) ? await this.#asker.troubleOf(one) : undefined,
      })),
    );
  }

  /** Throws with every reason where none of them has a plan; nobody is asked who is resting. */
  async plan(request: WordsRequest, planning: Planning): Promise<PlannedByWords> {
    const chosen = this.#chosen(request.planner);
    const rules = await byRules(request);
    const consultation = remembered(() => aboutPlan(request, rules.draft));
    const turn = this.#turn(planning, request.planner);
    const tried: Tried[] = [];
    for (const [i, settings] of chosen.entries()) {
      if (!isModel(settings)) {
        tried.push(idle('rules', 'made' in rules ? 'ok' : 'impossible'));
        if ('made' in rules) return { ...rules.made, tried };
        continue;
      }
      const behind = chosen.slice(i + 1).filter(isModel).length;
      const answer = await this.#asker.ask(settings, consultation(settings), { ...turn, behind });
      tried.push(answer.tried);
      if (answer.value !== undefined) return { ...answer.value, tried };
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
    const { settings } = this.#options;
    const rules = await byRules(request);
    const consultation = remembered(() => aboutPlan(request, rules.draft));
    const share = tokens && Math.floor(tokens / settings.filter(isModel).length);
    const turn = { ...this.#turn(planning), isNamed: true, behind: 0, share };
    return Promise.all(
      settings.map(async (one): Promise<Offer> => {
        if (!isModel(one)) {
          if (!('made' in rules)) return { tried: idle('rules', 'impossible') };
          return { tried: idle('rules', 'ok'), made: rules.made };
        }
        const { tried, value } = await this.#asker.ask(one, consultation(one), turn);
        return value === undefined ? { tried } : { tried, made: value };
      }),
    );
  }

  /**
   * Anything else that a model may be asked, of one after another until there is an answer that
   * `judge` takes; nothing where nobody has one. The same deadline, keys, budgets, rests and records
   * as for a plan. The rules have no say in it.
   */
  async consult<D, T>(
    consultation: Consultation<D, T>,
    planning: Planning,
    planner?: string,
  ): Promise<{ value?: T; tried: Tried[] }> {
    const models = this.#chosen(planner).filter(isModel);
    const turn = this.#turn(planning, planner);
    const tried: Tried[] = [];
    for (const [i, settings] of models.entries()) {
      const behind = models.length - 1 - i;
      const answer = await this.#asker.ask(settings, consultation, { ...turn, behind });
      tried.push(answer.tried);
      if (answer.value !== undefined) return { value: answer.value, tried };
    }
    return { tried };
  }

  /**
   * Another way for what is left of a plan, by whoever has one first, within one deadline. Like a
   * plan it is sound and allowed, whoever made it; unlike a plan there may be none.
   */
  async replan<T>(request: ReplanRequest<T>, planning: Planning): Promise<Replanned<T>> {
    const { settings } = this.#options;
    const turn = this.#turn(planning);
    const tried: Tried[] = [];
    for (const [i, one] of settings.entries()) {
      if (!isModel(one)) {
        const judged = request.remedy && (await request.judge(request.remedy));
        tried.push(idle(one.name, judged?.ok === true ? 'ok' : 'impossible'));
        if (judged?.ok === true) return { value: judged.value, planner: one.name, tried };
        continue;
      }
      const behind = settings.slice(i + 1).filter(isModel).length;
      const answer = await this.#asker.ask(one, aboutReplan(request), { ...turn, behind });
      tried.push(answer.tried);
      if (answer.value !== undefined) return { value: answer.value, planner: one.name, tried };
    }
    return { value: undefined, planner: '', tried };
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

  #turn(planning: Planning, planner?: string) {
    const untilMs = this.#asker.now() + this.#options.withinMs;
    return { planning, untilMs, isNamed: planner !== undefined };
  }
}

function aboutReplan<T>({
  intent,
  facts,
  tools,
  judge,
}: ReplanRequest<T>): Consultation<readonly Operation[], T> {
  const told = replanContext(facts);
  return {
    system: replanPrompt,
    first: replanTurn(intent, told),
    schema: operationsSchema(tools),
    told,
    read: (text) => {
      const read = readOperations(text);
      return read.ok ? { ok: true, draft: read.operations } : read;
    },
    wanted: 'all operations',
    judge,
  };
}

function isModel(settings: PlannerSettings): settings is ModelSettings {
  return settings.kind !== 'rules';
}

function idle(planner: string, code: Tried['code']): Tried {
  return { planner, code, ms: 0, rounds: 0, inputTokens: 0, outputTokens: 0 };
}

type AboutPlan = Omit<WordsRequest, 'planner'>;

/** The same question for all of them; what comes back is a plan in the name of whoever answered. */
function aboutPlan(
  request: AboutPlan,
  baseline: DraftInput | undefined,
): (settings: ModelSettings) => Consultation<DraftInput, Planned> {
  const told = modelContext({ ...request, survey: request.survey(), baseline });
  const first = firstTurn(request.intent, told);
  const schema = draftSchema(request.policy.tools);
  return ({ name }) => ({
    system: systemPrompt,
    first,
    schema,
    told,
    read: readDraft,
    wanted: 'the whole plan',
    judge: (draft) => sound(draft, name, request),
  });
}

// What is told is put together once, and only where somebody is asked.
function remembered(
  make: () => ReturnType<typeof aboutPlan>,
): (settings: ModelSettings) => Consultation<DraftInput, Planned> {
  let made: ReturnType<typeof aboutPlan> | undefined;
  return (settings) => (made ??= make())(settings);
}

type ByRules =
  { draft: DraftInput; made: Planned } | { draft: DraftInput | undefined; error: OrchestraError };

// Always asked: theirs is the plan to fall back on, and what a model is shown to start from.
async function byRules(request: AboutPlan): Promise<ByRules> {
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
  { policy, image, imageTools, review }: AboutPlan,
): Promise<Judged<Planned>> {
  const result = validateDraft(draft, { planner, policy, image, imageTools });
  if (!result.ok) return result;
  const { plan, digest, clamped } = result;
  const draftBytes = Buffer.byteLength(JSON.stringify(draft));
  const made = { plan, digest, clamped, draftBytes };
  const denied = await review(made);
  return denied.length > 0 ? { ok: false, findings: denied } : { ok: true, value: made };
}
