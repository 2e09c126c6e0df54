import type { PrunedKind } from '#contract/prune.ts';

/** What is known of one run when it is asked what it keeps: digests of 32 bytes each, in a row. */
export type RunRoots = {
  run: string;
  /** Every digest that its records name, whatever it is the digest of. */
  digests: Uint8Array;
  /** Those of directories among its artifacts: their manifests name further blobs. */
  folders: Uint8Array;
};

export type WeighRequest = {
  stateDir: string;
  /** The one used last first. */
  runs: readonly RunRoots[];
};

export type PruneWork = WeighRequest & {
  /** When it was found out what the runs keep, by a clock that nobody can set forward. */
  now: number;
  /** What was used since is kept, whether a record names it or not. */
  graceMs: number;
  /** When the oldest open run began: it may use what no record names. */
  openSince: number;
  /** Packages that nobody used since are removed. */
  packagesSince: number;
  /** A directory in `STATE/tmp` that is not there yet; what is removed goes there. Absent: only count. */
  aside?: string;
};

/** What went, or would go. `bytes` is what the disk gets back. */
export type PrunedPart = { what: PrunedKind; entries: number; bytes: number };
