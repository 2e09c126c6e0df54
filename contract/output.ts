import { z } from 'zod';

/**
 * One chunk of what a task wrote, as the log route serves it, one JSON object a line. `t` is
 * milliseconds since the task started, `s` 1 for stdout, 2 for stderr and 0 for a remark of
 * Orchestra's own, which no task can make. `d` holds the bytes as text where they are valid UTF-8
 * and no longer that way, else `b` holds them in base64, so that the exact bytes of each stream can
 * be put together again.
 */
export const OutputChunk = z.strictObject({
  t: z.number().int().min(0),
  s: z.union([z.literal(0), z.literal(1), z.literal(2)]),
  d: z.string().optional(),
  b: z.string().optional(),
});
export type OutputChunk = z.infer<typeof OutputChunk>;
