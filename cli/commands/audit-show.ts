import type { AuditShown } from '#contract/audit.ts';
import { exitCodes } from '#contract/errors.ts';
import { wantsRaw } from '../audit/raw.ts';
import { exactLine, leafOf } from '../audit/record-line.ts';
import type { Command } from '../context.ts';
import { parseCount } from '../options.ts';
import { safe } from '../terminal/clean.ts';
import { parseProof, parseSignedCheckpoint } from '../../verifier/tlog/checkpoint.ts';
import { includes } from '../../verifier/tlog/merkle.ts';

/**
 * One record. Its hash and its place in the signed tree are worked out here again; what does not
 * come out the same ends with 4.
 */
export const auditShow: Command = async (context, [text = ''], options) => {
  const { print } = context;
  const isRaw = wantsRaw(context, options);
  const seq = parseCount(text.replace(/^#/, ''), 'SEQ', { min: 0, max: Number.MAX_SAFE_INTEGER });
  const client = await context.client();
  const shown = await client.call('auditShow', { params: { seq: String(seq) } });
  const { record, hash } = shown;
  const line = shown.line ?? exactLine(record);
  const isSame = leafOf(line) === hash && isLineOf(line, shown, seq);
  const covered = coveredBy(shown, seq);
  const exit = isSame && covered.is !== 'not as it says' ? exitCodes.ok : exitCodes.violation;
  if (print.json) {
    print.object({ ...shown, line, hashed_again: isSame, covered });
    return exit;
  }
  if (isRaw) {
    await print.bytes(Buffer.from(`${line}\n`));
    if (exit !== 0) print.warn(`record ${seq} is not what the daemon says it is`);
    return exit;
  }
  print.line(`#${record.seq}  ${safe(hash)}`);
  for (const part of JSON.stringify(record, null, 2).split('\n')) print.line(safe(part));
  print.line();
  const { out } = print;
  print.line(
    `hash      ${isSame ? 'hashed again here: the same' : out.red('BROKEN: it has another')}`,
  );
  print.line(
    `covered   ${covered.is === 'not as it says' ? out.red('BROKEN: ') : ''}${wordsFor(covered)}`,
  );
  return exit;
};

type Covered = {
  is: 'covered' | 'not yet' | 'not as it says';
  size?: number;
  signed_by?: string[];
};

function coveredBy({ proof, hash }: AuditShown, seq: number): Covered {
  if (proof === undefined) return { is: 'not yet' };
  const checkpoint = parseSignedCheckpoint(proof.checkpoint);
  const hashes = parseProof(proof.hashes);
  if (checkpoint === undefined || hashes === undefined) return { is: 'not as it says' };
  const { size, root, note } = checkpoint;
  const leaf = Buffer.from(hash, 'hex');
  return {
    is: includes({ index: seq, size, leaf, root, proof: hashes }) ? 'covered' : 'not as it says',
    size,
    signed_by: [...new Set(note.signatures.map(({ name }) => name))],
  };
}

function wordsFor({ is, size = 0, signed_by = [] }: Covered): string {
  if (is === 'not yet') return 'by no checkpoint yet';
  const names = signed_by.map(safe).join(', ');
  const what = `the checkpoint of ${size} records with signatures in the name of ${names}`;
  return is === 'covered' ? `by ${what}` : `not by ${what}, though the daemon says so`;
}

// The record that is shown is read from the line, whatever came beside it.
function isLineOf(line: string, { record }: AuditShown, seq: number): boolean {
  return record.seq === seq && exactLine(record) === line;
}
