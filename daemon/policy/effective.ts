import type { Digest } from '#contract/ids.ts';
import { limitsFrom, type Limits } from '#contract/limits.ts';
import type { PolicyDocument } from '#contract/policy.ts';
import { digestOf } from '../base/canonical.ts';
import { deepFreeze } from '../base/freeze.ts';
import type { SecretGrant } from './secret-grants.ts';

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

/** What is really in force: one document, or a document narrowed by what is above it. */
export type EffectivePolicy = {
  name: string;
  /** Of everything here but itself. */
  digest: Digest;
  /** The first one is the default. */
  images: readonly AllowedImage[];
  tools: readonly string[];
  /** `NAME`, `NAME_*` or `*`. Names of the daemon's own are refused all the same. */
  env: readonly string[];
  /** Which secrets go to which tasks. */
  secrets: readonly SecretGrant[];
  limits: Limits;
  run: RunLimits;
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
};

/** A document in the words of the code, with its digest. */
export function effectivePolicy(document: PolicyDocument): EffectivePolicy {
  const { run, provision } = document;
  return seal({
    name: document.name,
    images: document.images,
    tools: document.tools,
    env: document.env,
    secrets: document.secrets,
    limits: allLimits(document),
    run: {
      tasks: run.tasks,
      concurrency: run.concurrency,
      timeoutMs: run.timeout,
      workspaceFiles: run.workspace_files,
      workspaceBytes: run.workspace_bytes,
      artifactFiles: run.artifact_files,
      artifactBytes: run.artifact_bytes,
    },
    provision: {
      registries: provision.registries,
      packageBytes: provision.package_bytes,
      totalBytes: provision.total_bytes,
      packages: provision.packages,
    },
    isolation: document.isolation,
  });
}

/** Freezes a policy and names it by its content. */
export function seal(policy: Omit<EffectivePolicy, 'digest'>): EffectivePolicy {
  const content = structuredClone(policy);
  return deepFreeze({ ...content, digest: digestOf(content) }) as EffectivePolicy;
}

function allLimits({ limits }: PolicyDocument): Limits {
  // The schema of a policy has no optional limit, so none is missing here.
  return limitsFrom(limits) as Limits;
}
