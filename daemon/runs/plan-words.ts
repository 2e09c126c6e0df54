import { OrchestraError } from '#contract/errors.ts';
import type { Finding } from '#contract/plan.ts';
import type { TriedPlanner } from '#contract/planning.ts';
import type { RecordData } from '#contract/records.ts';
import { NoPlan } from '../planner/models/no-plan.ts';
import { triedData, type Planning, type Tried } from '../planner/models/asker.ts';
import type { WordsRequest } from '../planner/models/planners.ts';
import { plan, type Planned } from '../planner/planner.ts';
import type { RunsDeps } from './deps.ts';

export type PlannedByWords = Planned & { tried?: readonly Tried[] };

/** An intent → a plan, by whoever of the planners has one first. */
export async function planWords(
  { planners }: Pick<RunsDeps, 'planners'>,
  request: WordsRequest,
  planning: Planning,
): Promise<PlannedByWords> {
  const { planner } = request;
  if (planner !== undefined) planners.assertKnown(planner);
  // Without models there is nobody to choose from, and the rules speak for themselves.
  if (!planners.hasModels || planner === 'rules') return plan(request);
  return planners.plan(request, planning);
}

/** What the policy says against a plan, as findings that its planner can mend. */
export async function denials(judge: () => Promise<unknown>): Promise<Finding[]> {
  try {
    await judge();
    return [];
  } catch (error) {
    if (!(error instanceof OrchestraError) || error.code !== 'policy.denied') throw error;
    const places = error.places.length > 0 ? error.places : [{ message: error.message }];
    return places.map(({ message }) => ({ code: 'policy_denied' as const, message }));
  }
}

/** Who was tried, for the record of a plan; nothing where only the rules could be. */
export function triedOf(found: Pick<PlannedByWords, 'tried'> | OrchestraError) {
  const tried =
    found instanceof OrchestraError ? (found instanceof NoPlan ? found.tried : []) : found.tried;
  return tried === undefined || tried.length === 0 ? {} : { tried: tried.map(triedData) };
}

/** As a record has it → as a view shows it. */
export function triedShown(
  one: NonNullable<RecordData<'plan.made'>['tried']>[number],
): TriedPlanner {
  const { planner, code, ms, rounds, cost_micro: costMicro } = one;
  return {
    planner,
    code,
    ms,
    rounds,
    inputTokens: one.input_tokens,
    outputTokens: one.output_tokens,
    ...(costMicro === undefined ? {} : { costMicro }),
  };
}
