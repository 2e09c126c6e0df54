import type { Envelope } from '../envelope.ts';
import { Epochs } from '../epochs.ts';
import { parseProof, parseSignedCheckpoint, type SignedCheckpoint } from '../tlog/checkpoint.ts';
import { includes, isConsistent, leafHash } from '../tlog/merkle.ts';
import { parseVkey, signedBy, spellNote } from '../tlog/note.ts';
import type { Reason } from '../verdict.ts';
import { hasFields, isCount, linesOf, parseJson, readRecord } from './line.ts';

type Wrong = { reason: Reason; seq: number; detail: string; offset: number; evidence?: string[] };

const fields = ['epoch', 'seq', 'line', 'proof', 'checkpoint', 'consistency'];

/**
 * The keys of the log by the records that made them known, each proven to be in the log, and each
 * next key in what the key before it signed last.
 */
export function readKeys(
  bytes: Buffer,
  checkpoint: SignedCheckpoint,
): { epochs: Epochs; wrong?: Wrong } {
  const epochs = new Epochs();
  const { lines, torn, offsets } = linesOf(bytes);
  for (const [index, line] of [...lines, ...(torn.length > 0 ? [torn] : [])].entries()) {
    const offset = offsets[index] ?? bytes.length - torn.length;
    const why = readKey(line, checkpoint, epochs);
    if (why !== undefined) return { epochs, wrong: { ...why, offset } };
  }
  return { epochs };
}

function readKey(
  line: Buffer,
  checkpoint: SignedCheckpoint,
  epochs: Epochs,
): Omit<Wrong, 'offset'> | undefined {
  const row = parseJson(line);
  const seq = hasFields(row, fields) && isCount(row['seq']) ? row['seq'] : undefined;
  if (!hasFields(row, fields) || seq === undefined) {
    return { reason: 'schema', seq: 0, detail: 'the line does not tell of a key' };
  }
  const fail = (reason: Reason, detail: string) => ({ reason, seq, detail });
  const text = row['line'];
  const note = row['checkpoint'];
  const proof = proofOf(row['proof']);
  const consistency = proofOf(row['consistency']);
  const isText = typeof text === 'string' && typeof note === 'string';
  if (!isText || proof === undefined || consistency === undefined || !text.isWellFormed()) {
    return fail('schema', 'the line does not tell of a key');
  }
  const record = readRecord(Buffer.from(text));
  if ('reason' in record) return fail(record.reason, record.detail);
  if (record.seq !== seq || record.data['epoch'] !== row['epoch'] || !isAboutKeys(record)) {
    return fail('schema', 'the record is not about this key');
  }
  const own = parseSignedCheckpoint(note);
  if (own === undefined) return fail('schema', 'the checkpoint beside the key is none');
  const leaf = leafHash(Buffer.from(text));
  if (!includes({ index: seq, size: own.size, leaf, root: own.root, proof })) {
    return fail('hash_mismatch', 'the record of the key is not in the log that was signed');
  }
  const why =
    own.note.text === checkpoint.note.text ? undefined : notBefore(own, checkpoint, consistency);
  if (why !== undefined) return { ...why, seq: Math.max(0, own.size - 1) };
  if (record.type === 'key.rotated') {
    const previous = record.data['previous'];
    const key = typeof previous === 'string' ? parseVkey(previous) : undefined;
    if (key === undefined) return fail('wrong_epoch_key', 'the record names no key before it');
    if (own.size !== seq + 1)
      return fail('schema', 'the checkpoint is not the last of the key before');
    if (own.origin !== key.name || !signedBy(own.note, key).signed) {
      return fail('bad_signature', 'the key before did not sign for this one');
    }
  }
  const detail = epochs.add({ type: record.type, seq, data: record.data });
  return detail === undefined ? undefined : fail('wrong_epoch_key', detail);
}

function notBefore(
  own: SignedCheckpoint,
  checkpoint: SignedCheckpoint,
  proof: readonly Buffer[],
): Pick<Wrong, 'reason' | 'detail' | 'evidence'> | undefined {
  const claim = {
    from: own.size,
    to: checkpoint.size,
    fromRoot: own.root,
    toRoot: checkpoint.root,
  };
  if (isConsistent({ ...claim, proof })) return undefined;
  return {
    reason: 'fork',
    detail: `the checkpoints of ${own.size} and of ${checkpoint.size} records are not of one log`,
    evidence: [spellNote(own.note), spellNote(checkpoint.note)],
  };
}

function isAboutKeys({ type }: Envelope): boolean {
  return type === 'key.created' || type === 'key.rotated';
}

/** A proof as JSON has it: base64, one hash each. */
export function proofOf(value: unknown): readonly Buffer[] | undefined {
  if (!Array.isArray(value) || !value.every((one) => typeof one === 'string')) return undefined;
  return parseProof(value);
}
