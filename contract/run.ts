import { z } from 'zod';
import { Hint } from './hints.ts';
import { Digest, RunId, TaskId } from './ids.ts';
import { LeftOutNote } from './left-out.ts';
import { endingLimits } from './limits.ts';
import { TriedPlanner } from './planning.ts';
import { pruneReasons } from './prune.ts';
import { ReplanRefusal, replansMax, RevisionView } from './replan.ts';
import { requestKinds } from './requests.ts';
import { RehearsedProgram } from './tools.ts';

export const runOutcomes = [
  'succeeded',
  'failed',
  'timed_out',
  'violated',
  'cancelled',
  'refused',
  'unknown',
] as const;
export type RunOutcome = (typeof runOutcomes)[number];

export const RunState = z.enum([
  'submitted',
  'planning',
  'running',
  'paused',
  'cancelling',
  ...runOutcomes,
]);
export type RunState = z.infer<typeof RunState>;

/**
 * `retry_wait`: an attempt failed and another one comes. `blocked`: what it needs is out of order.
 * `approval`, `question`: it waits for people.
 */
export const TaskState = z.enum([
  'waiting',
  'approval',
  'question',
  'blocked',
  'running',
  'retry_wait',
  'succeeded',
  'cached',
  'failed',
  'timed_out',
  'violated',
  'cancelled',
  'skipped',
  'unknown',
]);
export type TaskState = z.infer<typeof TaskState>;

/** The limit that ended a task, where one did. */
export type LimitName = keyof typeof endingLimits;
export const LimitName = z.enum(
  Object.keys(endingLimits) as [LimitName, ...(readonly LimitName[])],
);

/** How an attempt ended; `lost`: nobody knows, and nobody will. */
export const attemptOutcomes = [
  'succeeded',
  'failed',
  'timed_out',
  'violated',
  'cancelled',
  'unknown',
  'lost',
] as const;
export type AttemptOutcome = (typeof attemptOutcomes)[number];

/** Whose fault a failure is, which decides who pays for the next attempt, and whether there is one. */
export const failureClasses = [
  'code',
  'config',
  'policy',
  'resource',
  'timeout',
  'infra_transient',
  'infra_permanent',
  'flaky',
  'denied',
  'unknown',
] as const;
export const FailureClass = z.enum(failureClasses);
export type FailureClass = z.infer<typeof FailureClass>;

/** How a run goes on from an earlier one. */
export const continueModes = ['resume', 'retry', 'fork', 'import', 'replan'] as const;

const Count = z.number().int().min(0);
const Time = z.string();

export const Artifact = z.strictObject({
  name: z.string(),
  task: z.string(),
  path: z.string(),
  sha256: z.string(),
  bytes: Count,
  kind: z.enum(['file', 'directory']),
});
export type Artifact = z.infer<typeof Artifact>;

/** Why an attempt failed, by which rule, and what to do about it. */
export const Failure = z.strictObject({
  class: FailureClass,
  /** The id of the rule that said so. */
  rule: z.string(),
  /** One line each: a command to run, a setting to change. */
  next: z.array(z.string()),
});
export type Failure = z.infer<typeof Failure>;

/** An attempt that is over, kept for ever. */
export const AttemptView = z.strictObject({
  attempt: Count,
  outcome: z.enum(attemptOutcomes),
  startedAt: Time.optional(),
  finishedAt: Time.optional(),
  durationMs: Count.optional(),
  exitCode: Count.optional(),
  reason: z.string().optional(),
  output: Digest.optional(),
  failure: Failure.optional(),
});
export type AttemptView = z.infer<typeof AttemptView>;

/** Times are UTC ISO 8601 with milliseconds, sizes bytes, `exitCode` the task's own. */
export const TaskView = z.strictObject({
  id: z.string(),
  title: z.string(),
  tool: z.string(),
  state: TaskState,
  deps: z.array(z.string()),
  attempt: Count,
  /** Those before the last one, oldest first; absent where there was one at most. */
  attempts: z.array(AttemptView).optional(),
  /** Passed only after it had failed with the same inputs: now, or in an earlier run. */
  flaky: z.boolean().optional(),
  failure: Failure.optional(),
  /** The revision of the plan that does without it. */
  superseded: Count.optional(),
  /** Whose result this is, where the task itself did not run. */
  from: z
    .strictObject({ run: RunId, task: z.string(), why: z.enum(['cache', 'resumed']) })
    .optional(),
  /** Digest of everything that could have made a difference to it. */
  action: Digest.optional(),
  /** When the next attempt comes. */
  retryAt: Time.optional(),
  /** What people are asked before it begins. */
  asks: z
    .array(
      z.strictObject({
        id: z.string(),
        kind: z.enum(requestKinds),
        question: z.string().optional(),
      }),
    )
    .optional(),
  /** What it waits for where it is blocked: a component that is out of order. */
  blockedBy: z.string().optional(),
  startedAt: Time.optional(),
  finishedAt: Time.optional(),
  durationMs: Count.optional(),
  exitCode: Count.optional(),
  signal: z.string().optional(),
  limit: LimitName.optional(),
  /** What that limit was, and the most that was seen. */
  limitAllowed: Count.optional(),
  limitPeak: Count.optional(),
  reason: z.string().optional(),
  memoryPeakBytes: Count.optional(),
  cpuMs: Count.optional(),
  /** How long it was held back to its share of the processors. */
  cpuThrottledMs: Count.optional(),
  pidsPeak: Count.optional(),
  /** The most that one of its processes had open. */
  openFilesPeak: Count.optional(),
  /** What it added to its layers. */
  diskBytes: Count.optional(),
  diskFiles: Count.optional(),
  /** Of its fullest memory file system. */
  tmpPeakBytes: Count.optional(),
  output: Digest.optional(),
  outputBytes: Count.optional(),
  outputTruncated: z.boolean(),
  /** Where it was cut: what came beyond the limit until the task was dead. */
  outputDroppedBytes: Count.optional(),
  layer: Digest.optional(),
  artifacts: z.array(Artifact),
  /** Absent where all that it made was taken as it was. */
  leftOut: z.array(LeftOutNote).optional(),
  /** Which walls it met, and what would allow it or do without. */
  hints: z.array(Hint).optional(),
});
export type TaskView = z.infer<typeof TaskView>;

export const RunView = z.strictObject({
  id: RunId,
  state: RunState,
  intent: z.string(),
  /** The user's own name for the directory. */
  workspace: z.string(),
  snapshot: Digest,
  policy: z.strictObject({ name: z.string(), digest: Digest.optional() }),
  plan: Digest.optional(),
  planner: z.string().optional(),
  /** Who was asked for the plan, in that order; absent where only one could be. */
  tried: z.array(TriedPlanner).optional(),
  /** What earlier runs say of tasks like those of the plan, a line each. */
  warned: z.array(z.string()).optional(),
  /** Of an autonomous run: the programs of its plan. */
  rehearsed: z.array(RehearsedProgram).optional(),
  /** How the plan was changed on the way, oldest first; absent where it was not. */
  revisions: z.array(RevisionView).optional(),
  /** Failures for which it was not changed, though it might have been. */
  replanRefused: z.array(ReplanRefusal).optional(),
  image: z.string().optional(),
  submittedBy: z.string(),
  submittedAt: Time,
  /** The run that this one goes on from, and the one that went on from this. */
  continues: z.strictObject({ run: RunId, mode: z.enum(continueModes) }).optional(),
  continuedBy: RunId.optional(),
  paused: z
    .strictObject({
      kind: z.enum(['drain', 'freeze']),
      by: z.string(),
      since: Time,
      reason: z.string(),
    })
    .optional(),
  /** When it will be over, by what tasks like its own took before; absent where nobody knows. */
  etaMs: Count.optional(),
  closedAt: Time.optional(),
  durationMs: Count.optional(),
  exitCode: Count.optional(),
  reason: z.string().optional(),
  /** Why it was refused or stopped: every reason, not the first. */
  reasons: z.array(z.string()),
  tasks: z.array(TaskView),
  checkpoint: Digest.optional(),
  /** Nothing but its records is there any more: no plan, layer, output or artifact. */
  pruned: z.strictObject({ at: Time, by: z.string(), why: z.enum(pruneReasons) }).optional(),
  /** First and last sequence number of this run's records, and how many there are. */
  audit: z.strictObject({ first: Count, last: Count, records: Count }),
});
export type RunView = z.infer<typeof RunView>;

/** Thin row of a list of runs. */
export const RunRow = RunView.pick({
  id: true,
  state: true,
  intent: true,
  submittedBy: true,
  submittedAt: true,
  durationMs: true,
  exitCode: true,
}).extend({
  tasks: z.strictObject({ total: Count, succeeded: Count, failed: Count, cached: Count }),
});
export type RunRow = z.infer<typeof RunRow>;

/** `checkpoint.json`: what is done, and the digests that prove it is this run's. */
export const RunCheckpoint = z.strictObject({
  version: z.literal(1),
  run_id: RunId,
  checkpoint_at: Time,
  completed_tasks: z.array(z.string()),
  pending_tasks: z.array(z.string()),
  plan: Digest,
  policy: Digest,
  snapshot: Digest,
  layers: z.record(z.string(), Digest),
  outputs: z.record(z.string(), z.string()),
  state_snapshot: z.record(z.string(), TaskState),
  /** Of earlier versions: what was asked for is in the vault of the daemon that was asked. */
  intent: z.string().optional(),
  workspace: z.string(),
  concurrency: Count,
  timeout_ms: Count,
  /** What each completed task left, so that it can count elsewhere. */
  results: z.record(
    z.string(),
    z.strictObject({
      attempt: Count,
      layer: Digest,
      action: Digest.optional(),
      output: Digest.optional(),
      output_bytes: Count,
      output_truncated: z.boolean(),
      duration_ms: Count,
      artifacts: z.array(Artifact.omit({ task: true })),
    }),
  ),
  /** Ed25519 over the canonical JSON of everything else; `key` is the sha256 of the public key. */
  signature: z.strictObject({
    key: Digest,
    public_key: z.string().max(256),
    sig: z.string().max(256),
  }),
});
export type RunCheckpoint = z.infer<typeof RunCheckpoint>;
export type UnsignedCheckpoint = Omit<RunCheckpoint, 'signature'>;

/** What a run is made from. The daemon never opens `workspace`; it works on the snapshot. */
export const SubmitRun = z.strictObject({
  intent: z.string().min(1).max(2000),
  snapshot: Digest,
  workspace: z.string().max(256).default(''),
  /** The text of a plan file, with the name to use in errors. Without it the planner makes one. */
  plan: z
    .strictObject({ text: z.string().max(2 * 1024 * 1024), file: z.string().max(256) })
    .optional(),
  /** Who has to make the plan, and nobody else; otherwise the planners of the configuration do. */
  planner: z
    .string()
    .regex(/^[a-z][a-z0-9-]{0,31}$/, 'not the name of a planner')
    .optional(),
  /** One task with this argv (`orchestra exec`). */
  exec: z.array(z.string().max(4096)).min(1).max(64).optional(),
  policy: z
    .union([
      z.strictObject({ name: z.string().max(64) }),
      z.strictObject({ text: z.string().max(256 * 1024), file: z.string().max(256) }),
    ])
    .optional(),
  concurrency: z.number().int().min(1).max(1024).optional(),
  timeoutMs: z
    .number()
    .int()
    .min(1)
    .max(24 * 86_400_000)
    .optional(),
  /** Goes before runs of a lower priority; 0 where nobody says. */
  priority: z.number().int().min(-100).max(100).optional(),
  /** False: every task runs, whatever ran before. */
  cache: z.boolean().optional(),
  /** Its plan is tried first, and people are asked for every program that is new. */
  autonomous: z.boolean().optional(),
  /** How often the plan may be revised when a task fails for good; 0: never. */
  replan: z.number().int().min(0).max(replansMax).optional(),
});
export type SubmitRun = z.infer<typeof SubmitRun>;

/** Plans of all planners at once, for the same words. */
export const ComparePlans = SubmitRun.extend({
  /** What all of them together may use, shared evenly, beside their own budgets. */
  tokens: z.number().int().min(1).max(100_000_000).optional(),
});
export type ComparePlans = z.infer<typeof ComparePlans>;

/** From which earlier run to go on, and how much of it is done again. */
export const ContinueRun = z.strictObject({
  mode: z.enum(['resume', 'retry', 'fork', 'replan']).default('resume'),
  /**
   * `retry`: this task runs again, and what depends on it. `fork`: so does everything from it on.
   * `replan`: the failed task that is meant, where there are more.
   */
  task: TaskId.optional(),
  /** `replan`: for the planner, in the words of whoever asks. Kept nowhere. */
  hint: z.string().max(500).optional(),
  /** Tasks with side effects that ran before may run once more. */
  again: z.boolean().default(false),
  /** Plans only: answers what would be kept and what would run, and starts nothing. */
  dryRun: z.boolean().default(false),
  concurrency: z.number().int().min(1).max(1024).optional(),
  timeoutMs: SubmitRun.shape.timeoutMs,
});
export type ContinueRun = z.infer<typeof ContinueRun>;

/** `id` is the run that goes on: a new one, or the same where it was only paused. */
export const ContinueAnswer = z.strictObject({
  id: RunId.optional(),
  kept: z.array(z.string()),
  rerun: z.array(z.string()),
  /** Tasks with side effects that began before; they run again only with `again`. */
  twice: z.array(z.string()),
  /** Why there is nothing to do: the run succeeded, or it is running. */
  nothing: z.string().optional(),
});
export type ContinueAnswer = z.infer<typeof ContinueAnswer>;

/** A checkpoint from elsewhere; every blob, snapshot and layer that it names must be here. */
export const ImportRun = z.strictObject({
  checkpoint: z.looseObject({ version: z.number().int() }),
  policy: SubmitRun.shape.policy,
  dryRun: z.boolean().default(false),
  again: z.boolean().default(false),
});
export type ImportRun = z.infer<typeof ImportRun>;

export const PauseRun = z.strictObject({
  /** `drain`: nothing new starts. `freeze`: what runs stands still too, and so do its clocks. */
  kind: z.enum(['drain', 'freeze']).default('drain'),
  reason: z.string().max(256).default('asked by the user'),
});
export type PauseRun = z.infer<typeof PauseRun>;

export const CancelRun = z.strictObject({
  reason: z.string().max(256).default('asked by the user'),
});
