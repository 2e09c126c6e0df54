import { OrchestraError } from '#contract/errors.ts';
import type { Digest } from '#contract/ids.ts';
import type { LearnedShape, Pitfall } from '#contract/learning.ts';
import { spellLimits } from '#contract/limits.ts';
import type { Plan } from '#contract/plan.ts';
import type { Actor, RecordData } from '#contract/records.ts';
import { ownerOf } from '../access/caller.ts';
import { cutText } from '../base/text.ts';
import { goodOf, preferredTo, type Situation } from '../planner/learning/advice.ts';
import { pitfallsOf } from '../planner/learning/pitfalls.ts';
import { goalOf, kindOf, shapeOf } from '../planner/learning/shape.ts';
import { coverage, wordsOf } from '../planner/models/score.ts';
import type { PlanRequest } from '../planner/planner.ts';
import type { Profile } from '../planner/profile.ts';
import type { DraftInput } from '../planner/plan-file.ts';
import { validateDraft } from '../planner/validate.ts';
import type { RunsDeps } from './deps.ts';
import type { PlannedByWords } from './plan-words.ts';
import type { RunFacts } from './state.ts';

/** What a plan is for, as far as plans for the same can be found again. */
export type Aims = Pick<RecordData<'plan.made'>, 'goal' | 'kind'>;

export type Advice = { aims: Aims; pitfalls: Pitfall[] };

export function aimsOf(intent: string, profile: Profile): Aims {
  const goal = goalOf(intent);
  return { ...(goal === undefined ? {} : { goal }), kind: kindOf(profile) };
}

/** A person's plans are made with what his own runs teach: nobody else's can spoil it or leak. */
export function situationOf(
  { learning }: Pick<RunsDeps, 'learning'>,
  whose: RunFacts | Actor,
  workspace: string,
): Situation {
  return { learning, whose: 'id' in whose ? whose.owner : ownerOf(whose), workspace };
}

/** What to look out for, before anything runs. */
export function adviceOn(
  plan: Pick<Plan, 'tasks'>,
  aims: Aims,
  { learning, workspace, whose }: Situation,
): Advice {
  return { aims, pitfalls: pitfallsOf(plan.tasks, { learning, workspace, whose }) };
}

/** As the record of the plan has it. */
export function adviceData(plan: Pick<Plan, 'tasks'>, advice: Advice | undefined) {
  const warned = advice?.pitfalls.map(({ task, message, hint }) =>
    cutText(`${task}: ${message}${hint === undefined ? '' : `; ${hint}`}`, 512),
  );
  return {
    shape: shapeOf(plan),
    ...advice?.aims,
    ...(warned === undefined || warned.length === 0 ? {} : { warned }),
  };
}

/**
 * A plan of the past that did better than the one at hand, or undefined. It was made by a planner
 * for the same goal and kind of workspace, and it is validated and judged now like any other: what
 * the policy of today denies stays denied, however well it did.
 */
export async function preferPast<T extends { made: PlannedByWords }>(
  offered: PlannedByWords,
  {
    aims,
    situation,
    context: { policy, image, imageTools },
    goals,
    load,
    judged,
  }: {
    aims: Aims;
    situation: Situation;
    context: Pick<PlanRequest, 'policy' | 'image' | 'imageTools'>;
    /** What the rules would do now, where they know anything. */
    goals: () => Plan | undefined;
    load: (digest: Digest) => Promise<Plan>;
    judged: (planned: PlannedByWords) => Promise<T>;
  },
): Promise<T | undefined> {
  const best = preferredTo(offered.plan.tasks, aims, situation);
  if (best === undefined) return undefined;
  // Its blob may be pruned by now.
  const past = await load(best.plan).catch(() => undefined);
  if (past === undefined || isElse(past, offered.plan, goals())) return undefined;
  const draft = draftOf(past, whyPreferred(best, offered, situation));
  const { planner } = past;
  const result = validateDraft(draft, { planner, policy, image, imageTools });
  if (!result.ok || shapeOf(result.plan) !== best.shape) return undefined;
  const { plan, digest, clamped } = result;
  const draftBytes = Buffer.byteLength(JSON.stringify(draft));
  const { tried } = offered;
  try {
    return await judged({
      plan,
      digest,
      clamped,
      draftBytes,
      ...(tried === undefined ? {} : { tried }),
    });
  } catch (error) {
    if (error instanceof OrchestraError && error.code === 'policy.denied') return undefined;
    throw error;
  }
}

/**
 * Experience alone adds nothing: each command is planned now as well, by whoever made the plan at
 * hand or by the rules, and no secret and no side effect comes along. Nor does it leave anything out:
 * a plan without tests succeeds more often.
 */
export function isElse(
  past: Pick<Plan, 'tasks'>,
  offered: Pick<Plan, 'tasks'>,
  goals: Pick<Plan, 'tasks'> | undefined,
): boolean {
  const planned = new Set([...offered.tasks, ...(goals?.tasks ?? [])].map(wordsOf));
  if (past.tasks.some((task) => !planned.has(wordsOf(task)))) return true;
  if (coverage(past, goals ?? offered) < coverage(offered, goals ?? offered)) return true;
  const secrets = new Set(offered.tasks.flatMap((task) => task.secrets));
  const effects = offered.tasks.some(({ sideEffects }) => sideEffects === true);
  return past.tasks.some(
    (task) =>
      task.secrets.some((name) => !secrets.has(name)) ||
      (task.questions ?? []).length > 0 ||
      (task.sideEffects === true && !effects),
  );
}

function whyPreferred(best: LearnedShape, offered: PlannedByWords, situation: Situation): string {
  const { good, all } = goodOf(situation.learning.runs(shapeOf(offered.plan), situation.whose));
  const run = best.runs.at(-1) ?? '';
  const instead = all === 0 ? 'has not run yet' : `did well in ${good} of ${all}`;
  return `The plan of ${run} is taken again: its like succeeded in ${best.passed} of ${best.passed + best.failed} runs; what ${offered.plan.planner} planned now ${instead}.`;
}

function draftOf({ assumptions, tasks }: Plan, why: string): DraftInput {
  const own = assumptions.filter((text) => !text.startsWith('The plan of r-'));
  return {
    version: 1,
    assumptions: [why, ...own].slice(0, 32),
    tasks: tasks.map(({ id, title, why: reason, tool, args, env, cwd, deps, ...task }) => ({
      id,
      title,
      why: reason,
      tool,
      cwd,
      args: [...args],
      env: Object.entries(env).map(([name, value]) => ({ name, value })),
      deps: [...deps],
      outputs: [...task.outputs],
      inputs: [...(task.inputs ?? [])],
      sideEffects: task.sideEffects ?? false,
      locks: [...(task.locks ?? [])],
      ...(task.retries === undefined ? {} : { retries: task.retries }),
      // All others are the policy's of today.
      limits: spellLimits({ timeoutMs: task.limits.timeoutMs }),
      secrets: [...task.secrets],
      onFailure: task.onFailure,
    })),
  };
}
