import type { Digest } from '#contract/ids.ts';
import type { EffectivePolicy, ImageOrigin } from '../effective.ts';
import type { SandboxSpec } from '../spec.ts';

/** What is known of the machine and the image at the moment of the decision. */
export type JudgeFacts = {
  engine: {
    runtimes: readonly string[];
    /** Of each runtime: its family, and who applies a system call filter. */
    runtimeFacts?: Readonly<Record<string, { family: string; seccomp: string }>>;
    seccomp: boolean;
    apparmor: boolean;
    selinux: boolean;
    userns: boolean;
    rootless: boolean;
  };
  image: {
    reference: string;
    id: Digest;
    origin: ImageOrigin;
    /** What this daemon first resolved the reference to. */
    pinned: Digest | undefined;
  };
  /** Whose sandbox it is. Where it is not said, no secret is granted. */
  task?: {
    id: string;
    tool: string;
    /** Variables and secrets that people gave it: their own words, on no list. */
    given?: readonly string[] | undefined;
  };
  /** `refusesByDefault`, where somebody remembers what it said of the profile that all have. */
  refusesByDefault?: (json: string) => boolean;
  /** Directories of the daemon's own that mounts may come from, absolute and without links. */
  roots: readonly string[];
};

/** Every reason why this sandbox must not be, in words; none when the rule has nothing against it. */
export type Rule = (spec: SandboxSpec, policy: EffectivePolicy, facts: JudgeFacts) => string[];
