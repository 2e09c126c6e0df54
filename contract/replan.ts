import { z } from 'zod';
import { Digest, TaskId } from './ids.ts';
import { TriedPlanner } from './planning.ts';

/** Revisions of one run's plan, unless somebody says how many. */
export const replansDefault = 3;
export const replansMax = 10;
export const operationsMax = 64;

export const replanOps = ['add', 'replace', 'drop', 'set_deps'] as const;

const Count = z.number().int().min(0);
const Name = z.string().max(64);

/** The failure that a plan was revised for, or was not. */
export const becauseShape = {
  task: TaskId,
  class: Name,
  rule: Name,
  /** Of what the task does, why it failed and the line that says so. */
  fingerprint: Digest,
};

/** What was done to one task; `as` is the name of what stands in its place. */
const Step = z.strictObject({ op: z.enum(replanOps), task: TaskId, as: TaskId.optional() });
export type ReplanStep = z.infer<typeof Step>;

export const revisedShape = {
  /** The plan that the run was accepted with is the first. */
  revision: Count,
  plan: Digest,
  planner: Name,
  tasks: Count,
  bytes: Count,
  because: z.strictObject(becauseShape),
  steps: z.array(Step).max(operationsMax),
  /** Not in the plan any more: what failed, and what did not begin. */
  superseded: z.array(TaskId).max(operationsMax),
};

export const replanRefusals = ['limit', 'same_failure', 'no_way'] as const;

export const refusedShape = {
  ...becauseShape,
  code: z.enum(replanRefusals),
  /** One line each, for people. */
  next: z.array(z.string().max(256)).max(8),
};

const seen = { at: z.string(), tried: z.array(TriedPlanner).optional() };

/** As a view shows it. */
export const RevisionView = z.strictObject({
  ...revisedShape,
  bytes: Count.optional(),
  ...seen,
});
export type RevisionView = z.infer<typeof RevisionView>;

export const ReplanRefusal = z.strictObject({ ...refusedShape, ...seen });
export type ReplanRefusal = z.infer<typeof ReplanRefusal>;

/** What was done to a plan and why, in one sentence. */
export function revisionSentence({
  revision,
  planner,
  because,
  steps,
}: Pick<RevisionView, 'revision' | 'planner' | 'because' | 'steps'>): string {
  const words = steps.map(stepWords).join(', ');
  return `plan ${revision} by ${planner}, because ${because.task} failed (${because.class}): ${words}`;
}

function stepWords({ op, task, as = task }: ReplanStep): string {
  switch (op) {
    case 'add':
      return `${task} is added`;
    case 'replace':
      return `${as} stands in for ${task}`;
    case 'drop':
      return `${task} is dropped`;
    case 'set_deps':
      return `${task} waits for others`;
  }
}

/** Why nothing was done about a failure, and what a person can do, as lines. */
export function refusalLines({
  task,
  code,
  next,
}: Pick<ReplanRefusal, 'task' | 'code' | 'next'>): string[] {
  return [`${task} failed, and the plan was not changed for it (${refusalWords[code]})`, ...next];
}

const refusalWords: Readonly<Record<(typeof replanRefusals)[number], string>> = {
  limit: 'it was changed as often as it may be',
  same_failure: 'it was changed for this very failure before',
  no_way: 'nobody knew another way within what was approved',
};
