import { z } from 'zod';
import { Digest, RunId } from './ids.ts';
import { PlanScore } from './planning.ts';

const Count = z.number().int().min(0);
const Runs = z.array(RunId);

export const noteMax = 500;

export const RateRun = z.strictObject({
  rating: z.enum(['up', 'down']),
  /** Kept in the vault; a line, not a letter. */
  note: z.string().min(1).max(noteMax).optional(),
});
export type RateRun = z.infer<typeof RateRun>;

export const RatedRun = z.strictObject({
  id: RunId,
  /** The newest of each person. */
  up: Count,
  down: Count,
});

/** What went wrong before in tasks like one of a plan, and what helped. */
export const Pitfall = z.strictObject({
  task: z.string(),
  family: z.string(),
  /** One line for people. */
  message: z.string(),
  /** What to do about it; nothing of it is done by itself. */
  hint: z.string().optional(),
  /** Of so many attempts, so many ended like this. */
  failed: Count,
  of: Count,
  runs: Runs,
  /** A time limit that nine of ten would have kept, with something to spare. */
  suggestedTimeoutMs: Count.optional(),
});
export type Pitfall = z.infer<typeof Pitfall>;

/** What helped after a failure: how often, of how often it was tried. */
export const Remedy = z.strictObject({ what: z.string(), helped: Count, tried: Count });
export type Remedy = z.infer<typeof Remedy>;

export const LearnedFamily = z.strictObject({
  family: z.string(),
  passed: Count,
  failed: Count,
  timedOut: Count,
  p50_ms: Count.optional(),
  p90_ms: Count.optional(),
  failures: z.array(
    z.strictObject({ pattern: z.string(), count: Count, remedies: z.array(Remedy) }),
  ),
  /** The last ones. */
  runs: Runs,
});
export type LearnedFamily = z.infer<typeof LearnedFamily>;

export const LearnedShape = z.strictObject({
  shape: Digest,
  planner: z.string(),
  plan: Digest,
  goal: z.string().optional(),
  kind: Digest.optional(),
  passed: Count,
  failed: Count,
  up: Count,
  down: Count,
  /** With so few tries, the share that is good is at least this: Wilson's lower bound at 95 %. */
  bound: z.number(),
  /** Half of the runs that succeeded took no longer. */
  p50_ms: Count.optional(),
  runs: Runs,
});
export type LearnedShape = z.infer<typeof LearnedShape>;

export const LearnedAnswer = z.strictObject({
  version: z.literal(1),
  /** Whose runs it is from; absent where it is from everybody's. */
  owner: z.string().optional(),
  families: z.array(LearnedFamily),
  shapes: z.array(LearnedShape),
});
export type LearnedAnswer = z.infer<typeof LearnedAnswer>;

export const ForgetLearned = z.strictObject({
  family: z.string().min(1).max(160).optional(),
  /** Of everybody: for an admin. */
  everybody: z.boolean().default(false),
});
export type ForgetLearned = z.infer<typeof ForgetLearned>;

/** Why a plan is as it is, and what was known about it. */
export const PlanExplanation = z.strictObject({
  run: RunId,
  planner: z.string(),
  digest: Digest,
  shape: Digest,
  goal: z.string().optional(),
  kind: Digest.optional(),
  score: PlanScore,
  /** False where nobody knows any more what the rules would do: `coverage` says nothing then. */
  coverageKnown: z.boolean(),
  tasks: z.array(
    z.strictObject({
      id: z.string(),
      family: z.string(),
      passed: Count,
      failed: Count,
      /** That it succeeds, as the score has it: the mean of a Beta distribution. */
      chance: z.number(),
      runs: Runs,
    }),
  ),
  past: LearnedShape.optional(),
  /** Other plans for the same goal and kind of workspace, best first. */
  others: z.array(LearnedShape),
  pitfalls: z.array(Pitfall),
});
export type PlanExplanation = z.infer<typeof PlanExplanation>;
