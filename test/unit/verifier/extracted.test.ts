import { appendFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { Extractor } from '#daemon/audit/extract/extractor.ts';
import { openIndex } from '#daemon/audit/index-db.ts';
import { lay, SecondVerifier } from '#test/support/audit-fuzz.ts';
import { CheckpointsByHand } from '#test/support/checkpoints-by-hand.ts';
import { tempDir } from '#test/support/temp-dir.ts';
import { verifyPath } from '#verifier/verify-path.ts';
import { closed, noise, skipped, testLog } from '../audit/fixture.ts';

test('what the daemon extracts verifies by both, also after its key was rotated', async () => {
  await using it = await testLog({ segmentBytes: 9_000 });
  const index = await openIndex(it);
  const signed = new CheckpointsByHand(it);
  await signed.begin();
  await it.log.appendAll([skipped('r-0000000001'), noise('in between'), skipped('r-0000000001')]);
  await signed.sign();
  await signed.rotate();
  await it.log.appendAll([skipped('r-0000000001'), closed('r-0000000001')]);
  const extractor = new Extractor({
    ...it,
    index,
    checkpoints: signed,
    version: '1.2.3',
    now: () => Date.UTC(2026, 0, 2),
  });
  const actor = { kind: 'user', auth: 'peer', uid: 1000 } as const;
  const tar = await buffer(await extractor.extract('r-0000000001', actor));
  await using dir = await tempDir();
  await using python = new SecondVerifier();
  lay(dir.path, { files: new Map([['run.tar', tar]]) });
  const path = join(dir.path, 'run.tar');
  const nothing = { checkpoints: [], policy: undefined, expect: undefined, record: undefined };
  for (const { vkey } of signed.keys) {
    const ours = await verifyPath(path, { keys: [vkey] });
    expect(ours).toMatchObject({ exit: 0, records: 4, findings: [] });
    expect((await python.verify(path, { keys: [vkey], ...nothing })).exit).toBe(0);
  }
  expect((await verifyPath(path)).reason).toBe('unpinned');
  await index.close();
  const bytes = await readFile(path);
  await appendFile(path, bytes);
  expect((await verifyPath(path, { keys: [signed.keys[0]!.vkey] })).exit).toBe(0);
});
