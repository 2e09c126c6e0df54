import { hash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { OrchestraError } from '#contract/errors.ts';
import type { Digest } from '#contract/ids.ts';

/** `json` is the file to the byte, so that its sha256 sum is the digest that the log names. */
export type SeccompProfile = { json: string; digest: Digest };

export const profileBytesMax = 256 * 1024;

/**
 * The system calls of a task, as the engines take them. Read once, at start: a profile that cannot
 * be read, or that allows what it does not name, is no reason to go on with a wider one.
 */
export async function readSeccompProfile(file: string): Promise<SeccompProfile> {
  const broken = (why: string, cause?: unknown) =>
    new OrchestraError('config.invalid', `The seccomp profile ${file} ${why}`, {
      hint: 'install Orchestra again, or put the file back as it was shipped',
      cause,
    });
  let json: string;
  try {
    json = await readFile(file, 'utf8');
  } catch (cause) {
    throw broken('cannot be read', cause);
  }
  if (json.length > profileBytesMax) throw broken('is too large');
  const why = problemOf(json);
  if (why !== undefined) throw broken(why);
  return { json, digest: `sha256:${hash('sha256', json, 'hex')}` };
}

function problemOf(json: string): string | undefined {
  let document: unknown;
  try {
    document = JSON.parse(json);
  } catch {
    return 'is not JSON';
  }
  const read = Profile.safeParse(document);
  if (!read.success) return `is not in order: ${read.error.issues[0]?.path.join('.') ?? ''}`;
  const { defaultAction, syscalls } = read.data;
  if (!/^SCMP_ACT_(?:ERRNO|KILL|KILL_PROCESS|KILL_THREAD)$/.test(defaultAction)) {
    return 'does not deny by default';
  }
  const allowed = new Set(
    syscalls.filter(({ action }) => action === 'SCMP_ACT_ALLOW').flatMap(({ names }) => names),
  );
  const wrong = syscalls.find(
    ({ action, names }) => action !== 'SCMP_ACT_ALLOW' && names.some((name) => allowed.has(name)),
  );
  // Which of the two counts differs between versions of libseccomp.
  return wrong === undefined ? undefined : `both allows and denies ${wrong.names.join(', ')}`;
}

// Strict: a condition that depends on capabilities or the kernel is read differently by each
// engine, and what Podman made of it could not be recognised.
const Profile = z.strictObject({
  defaultAction: z.string(),
  archMap: z
    .array(z.strictObject({ architecture: z.string(), subArchitectures: z.array(z.string()) }))
    .min(1),
  syscalls: z.array(
    z.strictObject({
      comment: z.string(),
      names: z.array(z.string().regex(/^[a-z0-9_]{1,64}$/)).min(1),
      action: z.enum(['SCMP_ACT_ALLOW', 'SCMP_ACT_ERRNO', 'SCMP_ACT_KILL_PROCESS']),
      errnoRet: z.number().int().min(1).max(133).optional(),
      args: z.array(
        z.strictObject({
          index: z.number().int().min(0).max(5),
          value: z.number().int().min(0),
          valueTwo: z.number().int().min(0),
          op: z.enum(['SCMP_CMP_EQ', 'SCMP_CMP_MASKED_EQ']),
        }),
      ),
    }),
  ),
});
