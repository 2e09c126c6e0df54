import { z } from 'zod';
import { Hint } from './hints.ts';
import { Digest, RunId } from './ids.ts';
import { LeftOutNote } from './left-out.ts';
import { endingLimits } from './limits.ts';

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

export const RunState = z.enum(['submitted', 'planning', 'running', 'cancelling', ...runOutcomes]);
export type RunState = z.infer<typeof RunState>;

export const TaskState = z.enum([
  'waiting',
  'running',
  'succeeded',
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

/** Times are UTC ISO 8601 with milliseconds, sizes bytes, `exitCode` the task's own. */
export const TaskView = z.strictObject({
  id: z.string(),
  title: z.string(),
  tool: z.string(),
  state: TaskState,
  deps: z.array(z.string()),
  attempt: Count,
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
  image: z.string().optional(),
  submittedBy: z.string(),
  submittedAt: Time,
  closedAt: Time.optional(),
  durationMs: Count.optional(),
  exitCode: Count.optional(),
  reason: z.string().optional(),
  /** Why it was refused or stopped: every reason, not the first. */
  reasons: z.array(z.string()),
  tasks: z.array(TaskView),
  checkpoint: Digest.optional(),
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
}).extend({ tasks: z.strictObject({ total: Count, succeeded: Count, failed: Count }) });
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
});
export type RunCheckpoint = z.infer<typeof RunCheckpoint>;

/** What a run is made from. The daemon never opens `workspace`; it works on the snapshot. */
export const SubmitRun = z.strictObject({
  intent: z.string().min(1).max(2000),
  snapshot: Digest,
  workspace: z.string().max(256).default(''),
  /** The text of a plan file, with the name to use in errors. Without it the planner makes one. */
  plan: z
    .strictObject({ text: z.string().max(2 * 1024 * 1024), file: z.string().max(256) })
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
});
export type SubmitRun = z.infer<typeof SubmitRun>;

export const CancelRun = z.strictObject({
  reason: z.string().max(256).default('asked by the user'),
});
