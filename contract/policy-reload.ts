import { z } from 'zod';
import { Digest } from './ids.ts';

/** The documents that are in force, and how the files stand to them. */
export const PolicyList = z.strictObject({
  items: z.array(
    z.strictObject({
      name: z.string(),
      digest: Digest,
      source: z.string(),
      ceiling: z.boolean(),
      /** `changed`, `gone`: what is in force is what was read before. */
      on_disk: z.enum(['same', 'changed', 'gone']).optional(),
    }),
  ),
  /** Files that nobody read yet. */
  unread: z.array(z.string()).optional(),
  /** Why the last reload changed nothing. */
  refused: z.string().optional(),
});

export const PolicyReloaded = z.strictObject({
  loaded: z.number().int(),
  changed: z.array(
    z.strictObject({ name: z.string(), digest: Digest.optional(), changes: z.array(z.string()) }),
  ),
});

export const PolicyCheck = z.strictObject({
  text: z.string().max(1024 * 1024),
  file: z.string().max(256),
});

export const PolicyChecked = z.strictObject({
  name: z.string(),
  /** Of the text. */
  digest: Digest,
  rules: z.number().int(),
  profiles: z.number().int(),
  /** What the ceiling would take away from it. */
  narrowed: z.array(z.string()),
});
