import { z } from 'zod';
import { Digest } from './ids.ts';

/** How programs are named in lists: what else a file in an image is called, no list has it. */
export const ToolName = z
  .string()
  .regex(/^[\][A-Za-z0-9_.+@-]{1,64}$/, 'not the name of a program')
  .refine((name) => name !== '.' && name !== '..', 'not the name of a program');

export const toolVersionMax = 128;

/** A program that an image has in its PATH, as it was found in a sandbox of that image. */
export const AdvertisedTool = z.strictObject({
  name: ToolName,
  /** Where in the image; a name that is there twice is the one that comes first in PATH. */
  path: z.string().max(256),
  /** Of the file's content, as measured: links were followed, scripts are the script. */
  binary: Digest,
  /** In the image's own words, for people. Nothing is decided by it. */
  version: z.string().max(toolVersionMax).optional(),
});
export type AdvertisedTool = z.infer<typeof AdvertisedTool>;

/** A program that comes on the list of whoever asks, when a request is granted. */
export const GrownTool = AdvertisedTool.omit({ path: true }).extend({ image: Digest });
export type GrownTool = z.infer<typeof GrownTool>;

/** A line of somebody's list: this program, in this image. */
export const AllowedTool = z.strictObject({
  name: ToolName,
  version: z.string().max(toolVersionMax).optional(),
  binary: Digest,
  image: Digest,
  at: z.string(),
  /** The request that was granted for it. */
  request: z.string().max(64),
  /** Who granted it, by user id. */
  by: z.array(z.number().int().min(0)),
});
export type AllowedTool = z.infer<typeof AllowedTool>;

/**
 * `allowed`: this very file in this very image. `changed`: another file or another image was.
 * `new`: none of this name was.
 */
export const toolStandings = ['allowed', 'changed', 'new'] as const;
export type ToolStanding = (typeof toolStandings)[number];

/** How a command of a plan stands: `unlisted` is nothing of the image, and goes on no list. */
export const programStandings = ['allowed', 'asked', 'unlisted'] as const;

/** A program of the plan of an autonomous run, as it stood before anything ran. */
export const RehearsedProgram = z.strictObject({
  name: z.string(),
  standing: z.enum(programStandings),
  /** Whether it started in a sandbox of its image; absent where that was not tried. */
  started: z.boolean().optional(),
});
export type RehearsedProgram = z.infer<typeof RehearsedProgram>;

/** One line for people. */
export function rehearsedLine({ name, standing, started }: RehearsedProgram): string {
  const words = {
    allowed: 'on the list of tools',
    asked: 'new, so somebody is asked for it',
    unlisted: 'no program of the image, so somebody is asked for it each time',
  }[standing];
  return `${name}: ${words}${started === false ? '; it does not start' : ''}`;
}

export const ToolRow = AdvertisedTool.extend({ standing: z.enum(toolStandings) });
export type ToolRow = z.infer<typeof ToolRow>;

export const ToolsAnswer = z.strictObject({
  /** Whose list; absent where nobody knows who asks. */
  uid: z.number().int().optional(),
  /** Whether the policy that applies by default asks for what is on no list. */
  growth: z.enum(['off', 'ask']),
  image: z.strictObject({ reference: z.string(), id: Digest }),
  /** Absent where the image could not be measured; `trouble` says why. */
  measured: z
    .strictObject({
      at: z.string(),
      list: Digest,
      /** Files that are no programs by their name, or came after the most that are looked at. */
      left_out: z.number().int(),
      /** What the image says of itself and is not so. */
      wrong: z.array(z.string()),
    })
    .optional(),
  trouble: z.string().optional(),
  items: z.array(ToolRow),
});
export type ToolsAnswer = z.infer<typeof ToolsAnswer>;

export const ToolLists = z.strictObject({
  lists: z.array(z.strictObject({ uid: z.number().int(), tools: z.array(AllowedTool) })),
});
export type ToolLists = z.infer<typeof ToolLists>;

export const ToolsQuery = z.strictObject({ uid: z.coerce.number().int().min(0).optional() });

export const WithdrawTool = z.strictObject({
  name: ToolName,
  /** Whose list; his own where it is left out. */
  uid: z.number().int().min(0).optional(),
});
export type WithdrawTool = z.infer<typeof WithdrawTool>;
