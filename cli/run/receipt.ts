import path from 'node:path';
import { OrchestraError } from '#contract/errors.ts';
import type { Client } from '../client/client.ts';
import { isSignedBy, type Seen } from '../memory/judge.ts';
import { writeFileFresh } from '../write-file.ts';
import { parseSignedCheckpoint, parseTlogProof } from '../../verifier/tlog/checkpoint.ts';
import { includes } from '../../verifier/tlog/merkle.ts';
import type { Closing } from './links.ts';

export type Receipt = { proof: string; size: number };

const proofBytesMax = 128 * 1024;

/**
 * That the end of a run is in the log which its key signed: checked here, by the key that this user
 * knows. The closing record counts the records of the run, and names the one before it.
 */
export async function fetchReceipt(
  client: Client,
  { seq, hash }: Closing,
  { vkey }: Pick<Seen, 'vkey'>,
): Promise<Receipt> {
  const content = await client.content('auditProof', {
    params: { seq: String(seq) },
    bytesMax: proofBytesMax,
  });
  const proof = Buffer.from(content).toString('utf8');
  const parsed = parseTlogProof(proof);
  const checkpoint = parsed && parseSignedCheckpoint(parsed.checkpoint);
  const leaf = Buffer.from(hash, 'hex');
  const holds =
    parsed !== undefined &&
    checkpoint !== undefined &&
    parsed.index === seq &&
    includes({ ...checkpoint, index: seq, leaf, proof: parsed.proof }) &&
    isSignedBy(checkpoint, vkey);
  if (holds) return { proof, size: checkpoint.size };
  throw new OrchestraError('audit.forked', `BROKEN: the proof for record #${seq} does not hold`, {
    hint: 'orchestra audit verify',
  });
}

/** The proof and the exact line that it is for: all that somebody else needs beside the key. */
export async function writeReceipt(folder: string, line: string, proof: string): Promise<void> {
  const hint = { hint: 'use --report-dir to write the folder of the run elsewhere' };
  await writeFileFresh(path.join(folder, 'run.closed.json'), [Buffer.from(`${line}\n`)], hint);
  await writeFileFresh(path.join(folder, 'receipt.tlog-proof'), [Buffer.from(proof)], hint);
}
