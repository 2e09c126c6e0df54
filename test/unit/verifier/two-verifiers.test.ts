import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { fuzzAudit, lay, readCorpus, SecondVerifier } from '#test/support/audit-fuzz.ts';
import { Dice, someCase, Subjects } from '#test/support/audit-mutations.ts';
import { tempDir } from '#test/support/temp-dir.ts';
import { verifyPath } from '#verifier/verify-path.ts';

const slow = { timeout: 120_000 };

test(
  'two verifiers that share no code say the same of hundreds of mutated logs',
  slow,
  async () => {
    await using dir = await tempDir();
    const { cases, disagreements, unsound } = await fuzzAudit({
      dir: dir.path,
      cases: 400,
      seed: 77,
    });
    expect([cases, disagreements, unsound]).toEqual([400, [], []]);
  },
);

test('every case of the corpus is made and judged as it always was, by both', slow, async () => {
  await using dir = await tempDir();
  await using python = new SecondVerifier();
  const subjects = new Subjects();
  const rows = readCorpus();
  for (const { seed, name, sha256, exit, reason, seq } of rows) {
    const it = someCase(subjects, new Dice(seed));
    const digest = createHash('sha256');
    for (const [file, bytes] of it.files) digest.update(`${file}\n${bytes.length}\n`).update(bytes);
    expect([seed, digest.digest('hex')]).toEqual([seed, sha256]);
    lay(dir.path, it);
    const path = join(dir.path, it.target);
    const [size, hash] = it.expect?.split(':') ?? [];
    const expectedHead = hash === undefined ? undefined : { size: Number(size), hash };
    const ours = await verifyPath(path, { ...it, expectedHead });
    const theirs = await python.verify(path, it);
    expect({
      seed,
      name,
      exit: ours.exit,
      reason: ours.reason ?? null,
      seq: ours.seq ?? null,
    }).toEqual({ seed, name, exit, reason, seq });
    expect({ seed, ...theirs }).toEqual({ seed, exit, reason, seq });
  }
  // All reasons that mutations can lead to are among them.
  expect(new Set(rows.map((row) => row.reason)).size).toBeGreaterThan(20);
});
