import type { Finding, Reason, Verdict, VerifyExit } from './verdict.ts';

/** What a finding comes to where nothing proves that it is more. */
const mild: Readonly<Partial<Record<Reason, VerifyExit>>> = {
  empty: 2,
  unreadable: 2,
  no_key: 2,
  torn_tail: 3,
  partial: 3,
  run_incomplete: 3,
  heartbeat_gap: 3,
  unpinned: 3,
  unsigned: 3,
  unanchored: 3,
};

// Tampering outranks everything, then what could not be checked, then what is incomplete.
const rank: Readonly<Record<VerifyExit, number>> = { 0: 0, 3: 1, 2: 2, 1: 3 };

/** Findings of one look, and what they come to together. */
export class Findings {
  readonly #all: { finding: Finding; exit: VerifyExit }[] = [];

  /** With `proven` it contradicts what must hold, whatever its kind usually means. */
  add(finding: Finding, proven = false): void {
    this.#all.push({ finding, exit: proven ? 1 : (mild[finding.reason] ?? 1) });
  }

  get exit(): VerifyExit {
    return this.#all.reduce<VerifyExit>(
      (worst, { exit }) => (rank[exit] > rank[worst] ? exit : worst),
      0,
    );
  }

  /** The worst first, otherwise as they came. */
  get inOrder(): Finding[] {
    const sorted = this.#all.toSorted((a, b) => rank[b.exit] - rank[a.exit]);
    return sorted.map(({ finding }) => finding);
  }

  /** The part of a verdict that follows from them. */
  get summary(): Pick<Verdict, 'exit' | 'verdict' | 'findings' | 'reason' | 'seq'> {
    const [first] = this.inOrder;
    return {
      exit: this.exit,
      verdict: words[this.exit],
      findings: this.inOrder,
      reason: first?.reason,
      seq: first?.seq,
    };
  }
}

const words = { 0: 'verified', 1: 'tampered', 2: 'unchecked', 3: 'incomplete' } as const;
