/**
 * Writes `expected.json`: for cases that follow from their seeds alone, what both verifiers say. The
 * logs themselves are made anew each time and compared by their digest. Run it after a change that is
 * meant to change an answer: node test/corpus/audit/make.ts
 */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fuzzCases, type CorpusRow } from '#test/support/audit-fuzz.ts';
import { Dice, someCase, Subjects } from '#test/support/audit-mutations.ts';

const perKind = 6;
const dir = mkdtempSync(join(tmpdir(), 'orchestra-corpus-'));
const subjects = new Subjects();
const rows: CorpusRow[] = [];
const kinds = new Map<string, number>();
try {
  for await (const { seed, it, ours, theirs } of fuzzCases({ dir, seed: 0, cases: 4_000 })) {
    const kind = `${ours.exit} ${ours.reason}`;
    const seen = kinds.get(kind) ?? 0;
    if (seen >= perKind) continue;
    kinds.set(kind, seen + 1);
    if (JSON.stringify(ours) !== JSON.stringify(theirs)) throw new Error(`they differ: ${seed}`);
    rows.push({ seed, name: it.name, sha256: digestOf(seed), ...ours });
  }
} finally {
  rmSync(dir, { recursive: true, force: true });
}
const lines = rows.map((row) => JSON.stringify(row)).join(',\n');
writeFileSync(join(import.meta.dirname, 'expected.json'), `[\n${lines}\n]\n`);

function digestOf(seed: number): string {
  const digest = createHash('sha256');
  for (const [name, bytes] of someCase(subjects, new Dice(seed)).files) {
    digest.update(`${name}\n${bytes.length}\n`).update(bytes);
  }
  return digest.digest('hex');
}
