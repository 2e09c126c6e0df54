export type Reason =
  | 'hash_mismatch'
  | 'prev_mismatch'
  | 'seq_gap'
  | 'seq_duplicate'
  | 'non_canonical'
  | 'schema'
  | 'oversize'
  | 'clock_regression'
  | 'missing_segment'
  | 'pruned_undeclared'
  | 'rolled_back'
  | 'fork'
  | 'bad_signature'
  | 'wrong_epoch_key'
  | 'heartbeat_gap'
  /** Nothing brought along from outside vouches for it. */
  | 'unpinned'
  /** None of the keys that were brought along signed it. */
  | 'no_key'
  /** Too much of it is not signed, or nothing is. */
  | 'unsigned'
  /** Not witnessed as the policy demands. */
  | 'unanchored'
  | 'run_incomplete'
  | 'torn_tail'
  | 'partial'
  | 'empty'
  | 'unreadable';

export type Finding = {
  reason: Reason;
  /** File name as found beneath what was asked for, never a path of the host. */
  file: string;
  /** Bytes from the start of that file. */
  offset: number;
  /** Number of the record that is wrong, or that should have been there. */
  seq: number;
  detail: string;
};

/** 0 verified · 1 tampering or inconsistency · 2 could not check · 3 sound but incomplete. */
export type VerifyExit = 0 | 1 | 2 | 3;

export type Head = { size: number; hash: string };

export type Verdict = {
  exit: VerifyExit;
  verdict: 'verified' | 'tampered' | 'unchecked' | 'incomplete';
  /** Records that were checked and hold. */
  records: number;
  firstSeq: number;
  /** -1 where not even the first record holds. */
  lastGoodSeq: number;
  /** Number after the last good record, and its hash: what to remember outside. */
  head: Head;
  origin: string | undefined;
  segments: number;
  bytes: number;
  /** The worst first. */
  findings: Finding[];
  /** The first of the findings that decide, and its record; absent where all is well. */
  reason?: Reason | undefined;
  seq?: number | undefined;
  /** Things to know that are no findings, such as an acknowledged loss. */
  notes: string[];
  runs: number;
  openRuns: number;
  keys: { epoch: number; vkey: string; seq: number }[];
  signed?: { size: number; epoch: number } | undefined;
  witnessed?: { size: number; by: { name: string; at: number }[] } | undefined;
  /** Records, from the start, that something from outside vouches for. */
  trusted: number;
  /** Signed notes that contradict each other. */
  evidence: string[];
  /** How far the guarantee reaches, in words. */
  reach: string;
  durationMs: number;
};
