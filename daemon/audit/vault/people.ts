import { open } from 'node:fs/promises';
import { z } from 'zod';
import type { Actor } from '#contract/records.ts';
import { SubjectId } from '#contract/ids.ts';

/** Whom a subject stands for: what is said of a caller beyond a number. */
export const Person = z.strictObject({
  person: z.literal(1),
  /** What tells callers apart: their uid where the kernel told it. */
  is: z.string().max(128),
  uid: z.number().int().min(0).optional(),
  name: z.string().max(256).optional(),
});
export type Person = z.infer<typeof Person>;

/** Callers of whom nobody knows more than that they could open the socket are one. */
export function identityOf({ uid, name, auth }: Actor): string {
  if (uid !== undefined) return `uid:${uid}`;
  return name === undefined ? `auth:${auth}` : `name:${name}`;
}

export function isSubject(name: string | undefined): name is SubjectId {
  return SubjectId.safeParse(name).success;
}

const passwdBytesMax = 4 * 1024 * 1024;

/** The name of a user of this machine, as far as its own list of users has one. */
export async function accountName(uid: number): Promise<string | undefined> {
  try {
    await using file = await open('/etc/passwd');
    const { buffer, bytesRead } = await file.read(Buffer.alloc(passwdBytesMax), 0, passwdBytesMax);
    const rows = buffer.toString('utf8', 0, bytesRead).split('\n');
    const row = rows.map((each) => each.split(':')).find(([, , id]) => id === String(uid));
    return row?.[0]?.slice(0, 256);
  } catch {
    return undefined;
  }
}
