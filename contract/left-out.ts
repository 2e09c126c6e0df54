import { z } from 'zod';

/** So many of the entries are named in a picture of a run; the log has more. */
export const leftOutNamed = 3;

/** What of a task's layer, or of one of its outputs, was not taken, or not as it was. */
export const LeftOutNote = z.strictObject({
  /** The output by its name; absent for the layer itself. */
  output: z.string().optional(),
  entries: z.number().int().min(0),
  /** Paths beneath the workspace or the output, in the form of `path-bytes.ts`, maybe cut. */
  first: z.array(z.strictObject({ path: z.string(), reason: z.string() })).max(leftOutNamed),
});
export type LeftOutNote = z.infer<typeof LeftOutNote>;

/** One line for people. Paths are a task's own words: in quotes, and for the caller to make harmless. */
export function leftOutSentence({ output, entries, first }: LeftOutNote): string {
  const where = output === undefined ? 'its changes' : `output ${output}`;
  const named = first.map(({ path, reason }) => `${JSON.stringify(path)} (${reason})`);
  const more = entries - first.length;
  const rest = more > 0 ? [`and ${more} more`] : [];
  const what = entries === 1 ? '1 entry' : `${entries} entries`;
  return `${what} of ${where} left out or disarmed: ${[...named, ...rest].join(', ')}`;
}
