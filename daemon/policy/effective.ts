import type { Digest } from '#contract/ids.ts';
import { limitsFrom, type Limits } from '#contract/limits.ts';
import { AskTerms, mountWords, type PolicyDocument, type PolicyRule } from '#contract/policy.ts';
import { digestOf } from '../base/canonical.ts';
import { deepFreeze } from '../base/freeze.ts';
import type { SecretGrant } from './secret-grants.ts';
import { widest } from './widest.ts';

export type ImageOrigin = 'pulled' | 'assembled';

export type AllowedImage = {
  reference: string;
  /** A digest, or the word `pinned`: the pin alone decides. With a digest, both do. */
  digest: Digest;
  origins: readonly ImageOrigin[];
};

export type RunLimits = {
  tasks: number;
  concurrency: number;
  timeoutMs: number;
  workspaceFiles: number;
  workspaceBytes: number;
  artifactFiles: number;
  artifactBytes: number;
};

/** Arguments that a tool may have: one of the patterns has to fit. See `argv.ts`. */
export type ArgvRule = { tool: string; patterns: readonly string[] };

export type MountWord = (typeof mountWords)[number];

/** What a task may be and have. */
export type PolicyLists = {
  /** The first one is the default. */
  images: readonly AllowedImage[];
  tools: readonly string[];
  /** Each one that speaks of a tool has to be kept; a tool of which none speaks is free. */
  argv: readonly ArgvRule[];
  /** `NAME`, `NAME_*` or `*`. Names of the daemon's own are refused all the same. */
  env: readonly string[];
  /** Which secrets go to which tasks. */
  secrets: readonly SecretGrant[];
  limits: Limits;
  provision: {
    registries: readonly string[];
    packageBytes: number;
    totalBytes: number;
    packages: number;
  };
  isolation: {
    seccomp: 'required' | 'preferred';
    apparmor: 'required' | 'preferred' | 'off';
    selinux: 'required' | 'preferred' | 'off';
    userns: 'required' | 'preferred' | 'off';
    runtimes: readonly string[];
  };
  mounts: readonly MountWord[];
};

/** One document as it judges a task: its lists by profile, and its rules. */
export type PolicyLayer = {
  name: string;
  /** Of its text, as `sha256sum` says it: what `line` counts in. */
  digest: Digest;
  standard: PolicyLists;
  /** In the order in which they are tried. */
  profiles: readonly { name: string; when?: string; line: number; lists: PolicyLists }[];
  /** None: what the lists allow is allowed. */
  rules?: readonly LayerRule[];
  toolsGrowth: 'off' | 'ask';
  /** Where the document says so. */
  toolsGrowthLine?: number;
  /** Left out where the document does not say so: then no run under it is autonomous. */
  autonomous?: true;
};

export type LayerRule = {
  id: string;
  when: string;
  effect: 'allow' | 'deny' | 'ask';
  reason: string;
  line: number;
  ask?: { approvals: number; from: readonly string[]; self: boolean; expiresMs: number };
};

/**
 * What is really in force: one document, or a document narrowed by what is above it. The lists are
 * the widest that any task of a run can get; what one task gets is `listsFor`'s to say.
 */
export type EffectivePolicy = PolicyLists & {
  name: string;
  /** Of everything here but itself. */
  digest: Digest;
  run: RunLimits;
  /** Every document that judges, from the ceiling down. */
  documents: readonly PolicyLayer[];
};

/** Where a document comes from: the digest of its text, and the lines of what stands in it. */
export type DocumentOrigin = {
  digest: Digest;
  lineOf: (path: readonly (string | number)[]) => number;
};

/** A document in the words of the code, with its digest. */
export function effectivePolicy(
  document: PolicyDocument,
  origin: DocumentOrigin = { digest: digestOf(plain(document)), lineOf: () => 1 },
): EffectivePolicy {
  const { run } = document;
  const layer = layerOf(document, origin);
  return seal({
    name: document.name,
    ...widest(layer),
    run: {
      tasks: run.tasks,
      concurrency: run.concurrency,
      timeoutMs: run.timeout,
      workspaceFiles: run.workspace_files,
      workspaceBytes: run.workspace_bytes,
      artifactFiles: run.artifact_files,
      artifactBytes: run.artifact_bytes,
    },
    documents: [layer],
  });
}

/** Freezes a policy and names it by its content. */
export function seal(policy: Omit<EffectivePolicy, 'digest'>): EffectivePolicy {
  const content = structuredClone(policy);
  return deepFreeze({ ...content, digest: digestOf(content) }) as EffectivePolicy;
}

/** One that was kept before policies had rules: its lists are all that it says. */
export function withLayers(policy: EffectivePolicy): EffectivePolicy {
  const kept: Partial<EffectivePolicy> = policy;
  if (kept.documents !== undefined) return policy;
  const { name, digest, run, documents: _none, ...lists } = policy;
  const standard: PolicyLists = { ...lists, argv: [], mounts: [...mountWords] };
  const layer: PolicyLayer = { name, digest, standard, profiles: [], toolsGrowth: 'off' };
  return deepFreeze({ name, digest, run, ...standard, documents: [layer] }) as EffectivePolicy;
}

function layerOf(document: PolicyDocument, { digest, lineOf }: DocumentOrigin): PolicyLayer {
  const standard = listsOf(document);
  return {
    name: document.name,
    digest,
    standard,
    profiles: Object.entries(document.profiles ?? {}).map(([name, profile]) => ({
      name,
      ...(profile.when === undefined ? {} : { when: profile.when }),
      line: lineOf(['profiles', name]),
      lists: listsOf({
        images: profile.images ?? document.images,
        tools: profile.tools ?? document.tools,
        env: profile.env ?? document.env,
        secrets: profile.secrets ?? document.secrets,
        limits: { ...document.limits, ...said(profile.limits) },
        provision: { ...document.provision, ...said(profile.provision) },
        isolation: { ...document.isolation, ...said(profile.isolation) },
        mounts: profile.mounts ?? document.mounts,
      }),
    })),
    ...(document.rules === undefined
      ? {}
      : {
          rules: document.rules.map(({ id, when, effect, reason, ask }, i) => ({
            id,
            when,
            effect,
            reason,
            line: lineOf(['rules', i]),
            ...(effect === 'ask' ? { ask: termsOf(ask) } : {}),
          })),
        }),
    toolsGrowth: document.tools_growth ?? 'off',
    ...(document.tools_growth === 'ask' ? { toolsGrowthLine: lineOf(['tools_growth']) } : {}),
    ...(document.autonomous === 'allowed' ? { autonomous: true as const } : {}),
  };
}

type Lists = Pick<
  PolicyDocument,
  'images' | 'tools' | 'env' | 'secrets' | 'limits' | 'provision' | 'isolation' | 'mounts'
>;

function listsOf({ tools, provision, mounts, limits, ...rest }: Lists): PolicyLists {
  return {
    images: rest.images,
    tools: tools.map((tool) => (typeof tool === 'string' ? tool : tool.name)),
    argv: tools.flatMap((tool) =>
      typeof tool === 'string' ? [] : [{ tool: tool.name, patterns: tool.argv }],
    ),
    env: rest.env,
    secrets: rest.secrets,
    // The schema of a policy has no optional limit, so none is missing here.
    limits: limitsFrom(limits) as Limits,
    provision: {
      registries: provision.registries,
      packageBytes: provision.package_bytes,
      totalBytes: provision.total_bytes,
      packages: provision.packages,
    },
    isolation: rest.isolation,
    mounts: mounts ?? [...mountWords],
  };
}

function termsOf(ask: PolicyRule['ask']): NonNullable<LayerRule['ask']> {
  const { approvals, from, self, expires } = ask ?? AskTerms.parse({});
  return { approvals, from, self, expiresMs: expires };
}

/** Without the keys that a schema names and a document leaves out. */
function said<T extends object>(
  part: T | undefined,
): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(
    Object.entries(part ?? {}).filter(([, value]) => value !== undefined),
  ) as { [K in keyof T]?: Exclude<T[K], undefined> };
}

function plain(document: PolicyDocument): unknown {
  return JSON.parse(JSON.stringify(document));
}
