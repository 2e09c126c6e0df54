import type { Digest } from '#contract/ids.ts';
import type { RecordData } from '#contract/records.ts';
import type { AnyEntry, Entry } from '../audit/types.ts';
import { digestOf } from '../base/canonical.ts';
import { cutText } from '../base/text.ts';
import type { Created, Effective, EngineFacts } from '../engine/engine.ts';
import { recordedLimits } from '../engine/recorded.ts';
import { runtimeFacts } from '../engine/runtime-facts.ts';
import type { Permit } from '../policy/permit.ts';
import type { Mount } from '../policy/spec.ts';
import type { SandboxRequest } from './sandbox.ts';

/** What a sandbox's receipt says beside the spec and the inspection. */
export type ReceiptFacts = {
  policy: { name: string; digest: Digest };
  image: { origin: string };
  engine: Pick<
    EngineFacts,
    'kind' | 'version' | 'kernel' | 'userns' | 'rootless' | 'components' | 'runtimeFacts'
  >;
  /** The security modules of the kernel, where they are known. */
  lsm: readonly string[];
  /** What a mount shows, by its target: digests, lowest first, instead of paths of this host. */
  layers: Readonly<Record<string, readonly Digest[]>>;
};

const layersMax = 64;

/**
 * The receipt of one sandbox: what was asked for and what it really got. Durable before the task's
 * command begins, so that nothing ever ran under settings that nobody can tell afterwards.
 */
export function receiptOf(
  facts: ReceiptFacts,
  { spec, digest }: Permit,
  { settings }: Pick<Effective, 'settings'>,
  attempt: number,
): Entry<'sandbox.receipt'> {
  const { mounts, ...rest } = settings;
  const { engine } = facts;
  const runtime = engine.runtimeFacts?.[spec.runtime] ?? runtimeFacts(spec.runtime);
  const version = versionOf(engine, runtime.family);
  return {
    type: 'sandbox.receipt',
    pol: { hash: facts.policy.digest, rule: 'all' },
    data: {
      attempt,
      policy: { name: facts.policy.name, digest: facts.policy.digest },
      image: { reference: spec.image.reference, id: spec.image.id, origin: facts.image.origin },
      engine: { kind: engine.kind, version: cutText(engine.version, 128) },
      kernel: cutText(engine.kernel, 256),
      kernel_of: runtime.kernel === 'its own' ? 'runtime' : 'host',
      seccomp_by: runtime.seccomp,
      ...(version === undefined ? {} : { runtime_version: version }),
      lsm: [...facts.lsm].slice(0, 32),
      userns: engine.userns,
      rootless: engine.rootless,
      requested: digest,
      effective: digestOf({ ...rest, mounts }),
      settings: rest,
      limits: recordedLimits(spec.limits),
      mounts: spec.mounts.map((mount) => mountIn(mount, facts.layers[mount.target] ?? [])),
      secrets: [...spec.secrets],
    },
  };
}

/** The receipt as records, to be appended in one batch with what announces the release. */
export function receiptEntries(
  { permit, context, receipt }: Pick<SandboxRequest, 'permit' | 'context' | 'receipt'>,
  { id, effective }: Pick<Created, 'id' | 'effective'>,
): AnyEntry[] {
  if (receipt === undefined) return [];
  const entry = receiptOf(receipt, permit, effective, context.attempt);
  return [{ ...entry, run: context.run, obj: { container: id, task: context.task } }];
}

/** As the engine or its machine says it, with the package where a distribution made it. */
function versionOf(
  { components = [] }: ReceiptFacts['engine'],
  family: ReturnType<typeof runtimeFacts>['family'],
): string | undefined {
  const program = family === 'gvisor' ? 'runsc' : family;
  const found = components.find(({ name }) => name === program);
  if (found?.version === undefined) return undefined;
  const packed = found.package === undefined ? '' : ` (${found.package})`;
  return cutText(`${program} ${found.version}${packed}`, 128);
}

type ReceiptMount = RecordData<'sandbox.receipt'>['mounts'][number];

function mountIn(mount: Mount, layers: readonly Digest[]): ReceiptMount {
  const { target, kind } = mount;
  return {
    target,
    kind,
    readonly: kind === 'bind',
    executable: kind !== 'tmpfs' || mount.executable,
    ...(kind === 'tmpfs' ? { bytes: mount.sizeBytes } : {}),
    // A chain can be longer than a record: then the digest of the list stands for it.
    layers: layers.length <= layersMax ? [...layers] : [digestOf(layers)],
    layer_count: layers.length,
  };
}
