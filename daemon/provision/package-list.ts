import type { Digest } from '#contract/ids.ts';

/** What the image is, not what the daemon runs on: decides which optional packages are wanted. */
export type Platform = { os: 'linux'; cpu: 'x64' | 'arm64'; libc: 'glibc' | 'musl' };

/** One tarball that the lockfile pins. */
export type PinnedPackage = {
  name: string;
  version: string;
  /** One hash, the strongest that the lockfile gives. */
  integrity: string;
  /** Where the lockfile says that it comes from, if it does. */
  resolved: string | undefined;
  /** The registry it belongs to and the address that the daemon asks. */
  registry: string;
  url: string;
};

export type PackageList = {
  kind: 'npm';
  lockfile: Digest;
  platform: Platform;
  /** Names the cache: the same list for the same platform and registries has the same key. */
  key: Digest;
  packages: readonly PinnedPackage[];
  /** Entries that need nothing: other platforms, bundled ones, links into the workspace. */
  skipped: number;
  /** Registries that the project's own `.npmrc` asks, in the sandbox too. */
  projectRegistries: Readonly<Record<string, string>>;
  hosts: readonly string[];
};

/** The part of a policy that speaks about packages, in bytes. */
export type ProvisionPolicy = {
  registries: readonly string[];
  packageBytes: number;
  totalBytes: number;
  packages: number;
};
