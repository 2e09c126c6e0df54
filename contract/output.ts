import { z } from 'zod';

/**
 * One chunk of what a task wrote, as the log blob stores it and the log route serves it, one JSON
 * object a line. `t` is milliseconds since the task started, `s` 1 for stdout and 2 for stderr.
 * `d` holds the bytes as text where they are valid UTF-8, else `b` holds them in base64, so that
 * the exact bytes of each stream can be put together again.
 */
export const OutputChunk = z.strictObject({
  t: z.number().int().min(0),
  s: z.union([z.literal(1), z.literal(2)]),
  d: z.string().optional(),
  b: z.string().optional(),
});
export type OutputChunk = z.infer<typeof OutputChunk>;
