import path from 'node:path';
import { exitCodes, OrchestraError } from '#contract/errors.ts';
import { exactLine } from '../audit/record-line.ts';
import type { Command } from '../context.ts';
import { parseCount, textOption } from '../options.ts';
import { safe } from '../terminal/clean.ts';
import { writeFileFresh } from '../write-file.ts';
import { parseSignedCheckpoint, parseTlogProof } from '../../verifier/tlog/checkpoint.ts';
import { includes, leafHash } from '../../verifier/tlog/merkle.ts';

const proofBytesMax = 256 * 1024;

/** That one record is in the signed log, as a C2SP tlog-proof; worked out here before it is given. */
export const auditProve: Command = async (context, [text = ''], options) => {
  const { print } = context;
  const seq = parseCount(text.replace(/^#/, ''), 'SEQ', { min: 0, max: Number.MAX_SAFE_INTEGER });
  const params = { seq: String(seq) };
  const client = await context.client();
  const shown = await client.call('auditShow', { params });
  const bytes = await client.content('auditProof', { params, bytesMax: proofBytesMax });
  const proof = bytes.toString('utf8');
  const line = shown.line ?? exactLine(shown.record);
  const size = sizeProven(proof, seq, line);
  if (size === undefined || exactLine(shown.record) !== line || shown.record.seq !== seq) {
    throw new OrchestraError('audit.broken', `What came does not prove record ${seq}`, {
      hint: 'orchestra audit verify',
    });
  }
  const out = textOption(options, 'out');
  if (out === undefined) {
    if (print.json) print.object({ seq, size, hash: shown.hash, line, proof });
    else for (const each of proof.trimEnd().split('\n')) print.line(safe(each));
    return exitCodes.ok;
  }
  const file = path.resolve(context.cwd, out);
  await writeFileFresh(file, [bytes]);
  await writeFileFresh(`${file}.record`, [Buffer.from(`${line}\n`)]);
  if (print.json) print.object({ seq, size, hash: shown.hash, file, record: `${file}.record` });
  else print.line(`OK  record ${seq} is in the checkpoint of ${size} records  ${safe(file)}`);
  return exitCodes.ok;
};

/** How many records the checkpoint covers that the proof leads to. */
function sizeProven(text: string, seq: number, line: string): number | undefined {
  const parsed = parseTlogProof(text);
  const checkpoint = parsed && parseSignedCheckpoint(parsed.checkpoint);
  if (parsed?.index !== seq || checkpoint === undefined) return undefined;
  const { size, root } = checkpoint;
  const leaf = leafHash(Buffer.from(line));
  return includes({ index: seq, size, leaf, root, proof: parsed.proof }) ? size : undefined;
}
