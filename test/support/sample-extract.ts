import type { LogRecord } from '#contract/records.ts';
import { Extractor } from '#daemon/audit/extract/extractor.ts';
import { openIndex } from '#daemon/audit/index-db.ts';
import { checkpointText, spellTlogProof } from '#verifier/tlog/checkpoint.ts';
import { leafHash, nodeHash } from '#verifier/tlog/merkle.ts';
import { spellNote } from '#verifier/tlog/note.ts';
import { closed, noise, skipped, testLog } from '../unit/audit/fixture.ts';
import { CheckpointsByHand } from './checkpoints-by-hand.ts';

/** The extract of a run out of a log that holds others as well, as a daemon answers it. */
export async function sampleExtract(
  run: string,
  { isOpen = false, epochs = 1 } = {},
): Promise<{ tar: Buffer; vkeys: string[] }> {
  await using it = await testLog();
  const index = await openIndex(it);
  const signed = new CheckpointsByHand(it);
  await signed.begin();
  for (let n = 0; n < 5; n += 1) {
    await it.log.appendAll([skipped(run, `reason ${n}`), noise('between'), skipped('r-other')]);
  }
  for (let n = 1; n < epochs; n += 1) await signed.rotate();
  if (!isOpen) await it.log.append(closed(run));
  const now = () => Date.UTC(2026, 0, 1);
  const extractor = new Extractor({ ...it, index, checkpoints: signed, version: '0.0.0', now });
  const actor = { kind: 'user', auth: 'peer', uid: 1000 } as const;
  const blocks = await Array.fromAsync(await extractor.extract(run, actor));
  await index.close();
  return { tar: Buffer.concat(blocks as Buffer[]), vkeys: signed.keys.map(({ vkey }) => vkey) };
}

/** That a record, by its line, is the last of a tree that is otherwise made up. */
export function sampleProof({ seq }: LogRecord, line: string): string {
  const any = Buffer.alloc(32, 7);
  const proof: Buffer[] = [];
  let root = leafHash(Buffer.from(line));
  // The last leaf has a neighbour on its left for every bit of its number.
  for (let rest = seq; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 0) continue;
    proof.push(any);
    root = nodeHash(any, root);
  }
  const text = checkpointText({ origin: 'log-1', size: seq + 1, root });
  const signatures = [{ name: 'log-1', id: 1, bytes: Buffer.alloc(64) }];
  return spellTlogProof({ index: seq, proof, checkpoint: spellNote({ text, signatures }) });
}
