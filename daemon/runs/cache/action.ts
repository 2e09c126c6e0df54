import { hash } from 'node:crypto';
import { z } from 'zod';
import { Digest } from '#contract/ids.ts';
import { canonicalJson } from '../../base/canonical.ts';

/** Counted up when a daemon does something else with the same facts. */
export const actionVersion = 1;

const count = z.number().int();

/**
 * Everything that can make a difference to what a task leaves behind.
 *
 * Of the limits those that a program can read from inside and may act on: processors, memory,
 * processes, open files, file size, the room in /tmp. Not those that only end an attempt (time,
 * silence, output, disk): who succeeded did not meet them. Neither who asked, nor when, nor under
 * which name.
 */
export const ActionFacts = z.strictObject({
  version: z.literal(actionVersion),
  command: z.array(z.string()),
  /** All that the task finds, not only what its plan says. */
  env: z.record(z.string(), z.string()),
  cwd: z.string(),
  image: Digest,
  user: z.strictObject({ uid: count, gid: count }),
  /** The family of the runtime: another one has another kernel, or other calls. */
  runtime: z.string(),
  /** Digest of the filter of system calls, or `builtin`. */
  filter: z.string(),
  apparmor: z.string().optional(),
  selinux: z.string().optional(),
  limits: z.strictObject({
    cpuMilli: count,
    memoryBytes: count,
    pids: count,
    openFiles: count,
    fileSizeBytes: count,
    tmpBytes: count,
  }),
  /** Key of the packages that are provided to it. */
  packages: Digest.optional(),
  /** The workspace, or the part of it that its inputs name. */
  snapshot: Digest,
  partial: z.literal(true).optional(),
  /** What the tasks before it left, without those that left nothing: lowest first. */
  layers: z.array(Digest),
  /** Of a long chain, the digest of all layers below those. */
  older: Digest.optional(),
  outputs: z.array(z.strictObject({ name: z.string(), path: z.string(), required: z.boolean() })),
});
export type ActionFacts = z.infer<typeof ActionFacts>;

/** So many layers are named one by one; a chain of thousands would repeat itself with each task. */
const namedLayersMax = 64;

/** The layers of a task's ancestors as its facts say them. */
export function layerFacts(layers: readonly Digest[]): Pick<ActionFacts, 'layers' | 'older'> {
  if (layers.length <= namedLayersMax) return { layers: [...layers] };
  const older = layers.slice(0, -namedLayersMax).join('\n');
  return {
    layers: layers.slice(-namedLayersMax),
    older: `sha256:${hash('sha256', older, 'hex')}`,
  };
}

/** The key of the cache, and the bytes whose digest it is: kept, so that a later one can be compared. */
export function actionOf(facts: ActionFacts): { action: Digest; bytes: Buffer } {
  const bytes = Buffer.from(canonicalJson(facts));
  return { action: `sha256:${hash('sha256', bytes, 'hex')}`, bytes };
}

/** `undefined` for what another version wrote. */
export function readAction(bytes: Uint8Array): ActionFacts | undefined {
  try {
    const parsed = ActionFacts.safeParse(JSON.parse(Buffer.from(bytes).toString('utf8')));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}
