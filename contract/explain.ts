import { z } from 'zod';
import { Hint } from './hints.ts';
import { Digest, RunId } from './ids.ts';
import { recordTypes } from './records.ts';

/** One setting of a sandbox, and why it is what it is. */
export const Setting = z.strictObject({
  name: z.string(),
  requested: z.string(),
  /** What inspection of the sandbox said, or what the daemon itself enforces. */
  effective: z.string(),
  /** The rule of the policy or the part of the floor first, then why it came to this value. */
  decidedBy: z.array(z.string()).min(1),
  /** What would change it; says so where nothing does. */
  change: z.string(),
});
export type Setting = z.infer<typeof Setting>;

/** What `orchestra explain RUN TASK` shows. */
export const TaskReceipt = z.strictObject({
  run: RunId,
  task: z.string(),
  /** The attempt that is explained; 0 where none began. */
  attempt: z.number().int().min(0),
  /** The state of the task; `refused` where the run never had an accepted plan. */
  state: z.string(),
  policy: z.strictObject({ name: z.string(), digest: Digest.optional() }),
  /** The record that was durable before the command began. Without one nothing of it ever ran. */
  receipt: z
    .strictObject({
      seq: z.number().int(),
      hash: z.string(),
      data: recordTypes['sandbox.receipt'].data,
    })
    .optional(),
  /** Where it ran although it had run before: the first of its inputs that was another then. */
  differs: z.strictObject({ since: RunId, what: z.string() }).optional(),
  settings: z.array(Setting),
  /** Why there was no sandbox, or why what there was came to its end: every reason. */
  reasons: z.array(
    z.strictObject({
      rule: z.string().optional(),
      message: z.string(),
      change: z.string().optional(),
    }),
  ),
  hints: z.array(Hint),
});
export type TaskReceipt = z.infer<typeof TaskReceipt>;
