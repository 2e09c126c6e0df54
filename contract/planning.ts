import { z } from 'zod';
import { Digest } from './ids.ts';
import { formatDuration } from './units.ts';

/** Why a planner was of no use, by code, in words for people; what a provider says stays out. */
export const troubleWords = {
  key: 'its key cannot be read here',
  auth: 'its key is not taken',
  billing: 'it wants to be paid first',
  config: 'the model, the address or the question is not known there',
  rate_limit: 'it was asked too often',
  overloaded: 'it is overloaded',
  network: 'it could not be reached, or was cut off',
  timeout: 'it took too long',
  refusal: 'it refused',
  truncated: 'its answer was cut at the limit of its output',
  too_large: 'its answer was too large',
  invalid: 'none of its plans was sound, after every repair',
  denied: 'the policy allows none of its plans',
  budget: 'its budget was too small',
  resting: 'it failed before and is left alone for a while',
  busy: 'too many plans were being made already',
  cancelled: 'nobody waited for it any more',
  impossible: 'they know no plan for this',
} as const;
export type TroubleCode = keyof typeof troubleWords;

const Count = z.number().int().min(0);

/** What one planner did for a plan, and what it cost. */
export const TriedPlanner = z.strictObject({
  planner: z.string(),
  /** `ok`, or a code of `troubleWords`; of a later version perhaps one that is not there yet. */
  code: z.string(),
  ms: Count,
  /** Questions that it was asked. */
  rounds: Count,
  inputTokens: Count,
  outputTokens: Count,
  /** Millionths of the currency of its price; absent where none is set. */
  costMicro: Count.optional(),
});
export type TriedPlanner = z.infer<typeof TriedPlanner>;

/** One line for people: who, what came of it, what it took. */
export function triedLine({ planner, code, ...used }: TriedPlanner): string {
  const outcome = code === 'ok' ? 'made the plan' : wordsOf(code);
  const took = tookWords(used);
  return `${planner}: ${outcome}${took === '' ? '' : ` (${took})`}`;
}

function wordsOf(code: string): string {
  return Object.hasOwn(troubleWords, code) ? troubleWords[code as TroubleCode] : code;
}

/** Nothing where nobody was asked. */
export function tookWords(used: Omit<TriedPlanner, 'planner' | 'code'>): string {
  const { ms, rounds, inputTokens, outputTokens, costMicro } = used;
  if (rounds === 0) return '';
  return [
    formatDuration(ms),
    rounds === 1 ? '1 question' : `${rounds} questions`,
    ...(inputTokens + outputTokens === 0 ? [] : [`${inputTokens} + ${outputTokens} tokens`]),
    ...(costMicro === undefined || costMicro === 0 ? [] : [`cost ${(costMicro / 1e6).toFixed(4)}`]),
  ].join(', ');
}

/** Points out of a hundred, and what they are made of. */
export const PlanScore = z.strictObject({
  total: z.number(),
  /** Of what the rules would do: 40. */
  coverage: z.number(),
  /** That all of it succeeds: 20. */
  success: z.number(),
  /** Against the fastest of them: 20. */
  makespan: z.number(),
  /** Without side effects and with what is known here: 10. */
  risk: z.number(),
  /** What came of plans like it: 10. */
  past: z.number(),
  /** How long it should take, by what tasks like its own took. */
  makespanMs: Count,
});
export type PlanScore = z.infer<typeof PlanScore>;

/** What one planner had to offer. */
export const ComparedPlan = z.strictObject({
  tried: TriedPlanner,
  /** All of these where there is a plan. */
  plan: z.looseObject({ version: z.literal(1) }).optional(),
  digest: Digest.optional(),
  tasks: Count.optional(),
  score: PlanScore.optional(),
  clamped: z.array(z.string()).optional(),
  /** The planner further up that has the very same tasks. */
  sameAs: z.string().optional(),
});
export type ComparedPlan = z.infer<typeof ComparedPlan>;

/** Best first; after them those without a plan, in the order of the configuration. */
export const ComparedPlans = z.strictObject({ items: z.array(ComparedPlan) });
export type ComparedPlans = z.infer<typeof ComparedPlans>;
