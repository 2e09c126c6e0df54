import { z } from 'zod';
import { LimitsDocument } from './limits.ts';
import { Duration, Size } from './units.ts';
import { Digest, SecretName } from './ids.ts';

/**
 * A policy document. Nothing said is denied: a list that is absent is a schema error, an empty
 * list allows nothing. A document that is given for one run can only narrow the daemon's own.
 */
export const PolicyDocument = z.strictObject({
  version: z.literal(1),
  name: z.string().regex(/^[a-z][a-z0-9-]{0,62}$/, 'lower-case words joined by "-"'),
  description: z.string().max(500).optional(),
  /** Images by reference, first one is the default. `pinned`: the digest this daemon first resolved. */
  images: z
    .array(
      z.strictObject({
        reference: z.string().min(1).max(256),
        digest: z.union([z.literal('pinned'), Digest]),
        origins: z.array(z.enum(['pulled', 'assembled'])).min(1),
      }),
    )
    .min(1)
    .max(32),
  tools: z.array(z.string().min(1).max(48)).max(64),
  /** Names that a plan may set; `NAME_*` is a beginning, `*` any name. Reserved names stay refused. */
  env: z
    .array(z.string().regex(/^(?:\*|[A-Za-z_][A-Za-z0-9_]*\*?)$/, 'write NAME, NAME_* or *'))
    .max(256),
  /**
   * Which secrets a plan may name, for tasks of which tools and ids: `release`, `publish:*` or `*`.
   * A task gets one where a single line covers its name, its tool and its id.
   */
  secrets: z
    .array(
      z.strictObject({
        name: SecretName,
        tools: z.array(z.string().min(1).max(48)).max(64),
        tasks: z
          .array(z.string().regex(/^(?:\*|[a-z][a-z0-9:-]{0,47}\*?)$/, 'write an id, id:* or *'))
          .max(64),
      }),
    )
    .max(256),
  limits: LimitsDocument,
  run: z.strictObject({
    tasks: z.number().int().min(1).max(10_000),
    concurrency: z.number().int().min(1).max(1024),
    timeout: Duration,
    workspace_files: z.number().int().min(1).max(10_000_000),
    workspace_bytes: Size,
    artifact_files: z.number().int().min(1).max(1_000_000),
    artifact_bytes: Size,
  }),
  provision: z.strictObject({
    /** `configured`: whatever registry npm is configured with on this machine; else host names. */
    registries: z.array(z.string().min(1).max(253)).max(64),
    package_bytes: Size,
    total_bytes: Size,
    packages: z.number().int().min(0).max(100_000),
  }),
  isolation: z.strictObject({
    seccomp: z.enum(['required', 'preferred']),
    apparmor: z.enum(['required', 'preferred', 'off']),
    selinux: z.enum(['required', 'preferred', 'off']),
    /** Root of a sandbox is nobody on the host: the engine as a whole has it, or has not. */
    userns: z.enum(['required', 'preferred', 'off']),
    runtimes: z.array(z.string().min(1).max(64)).min(1).max(16),
  }),
});
export type PolicyDocument = z.infer<typeof PolicyDocument>;
