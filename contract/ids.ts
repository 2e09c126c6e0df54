import { z } from 'zod';

/** `sha256:` and 64 hex digits: how every blob, layer, snapshot, plan and policy is named. */
export const Digest = z.string().regex(/^sha256:[0-9a-f]{64}$/, 'not a sha256:… digest');
export type Digest = z.infer<typeof Digest>;

/** `r-` and ten characters of Crockford base 32: sortable is not promised, unique is. */
export const RunId = z.string().regex(/^r-[0-9a-hjkmnp-tv-z]{10}$/, 'not a run id');
export type RunId = z.infer<typeof RunId>;

/** Who the data in the vault is about: says nothing of the person by itself. */
export const SubjectId = z.string().regex(/^subj_[0-9a-f]{16}$/, 'not a subject of the vault');
export type SubjectId = z.infer<typeof SubjectId>;

export const TaskId = z
  .string()
  .regex(
    /^[a-z][a-z0-9]*(?:[-:][a-z0-9]+)*$/,
    'must be lower-case words joined by "-" or ":", such as test:unit',
  )
  .max(48);
export type TaskId = z.infer<typeof TaskId>;

/** A name is all that a plan, a policy or the log ever says of a secret. */
export const SecretName = z
  .string()
  .regex(
    /^[A-Za-z][A-Za-z0-9_.-]{0,63}$/,
    'must be letters, digits, "_", "-" and ".", beginning with a letter, 64 at most',
  );
export type SecretName = z.infer<typeof SecretName>;

/** Slash-separated path beneath the workspace. The validator refuses `..`, NUL, backslash, absolute. */
export const RelativePath = z.string().min(1).max(512);
