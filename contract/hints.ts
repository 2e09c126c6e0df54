import { z } from 'zod';

/**
 * What to do about a wall that a task met, for a person and for a planner.
 *
 * `basis` says what it rests on. `record`: the daemon saw it, and it is in the log. `output`: the
 * task printed something that looks like it. A task can print what it likes, so such a hint is
 * advice and never evidence: nothing is decided by it, least of all an exit code.
 */
export const Hint = z.strictObject({
  id: z.string(),
  /** Which wall: a rule of the policy, a limit, or a part of the floor that no policy lifts. */
  rule: z.string(),
  basis: z.enum(['record', 'output']),
  /** What it means. */
  title: z.string(),
  /** What would allow it, or do without. */
  remedy: z.string(),
  /** The line of the output that it was read from, made harmless and cut. */
  line: z.string().optional(),
});
export type Hint = z.infer<typeof Hint>;

/** How many of one task are kept. */
export const hintsMax = 4;
