import type { CheckpointAnswer, EpochRow } from '#contract/checkpoint.ts';
import {
  parseProof,
  parseSignedCheckpoint,
  type SignedCheckpoint,
} from '../../verifier/tlog/checkpoint.ts';
import { includes, isConsistent, leafHash } from '../../verifier/tlog/merkle.ts';
import { parseVkey, signedBy } from '../../verifier/tlog/note.ts';

/** A state of a log that somebody saw, signed by the log, with the key that signed it. */
export type Seen = { note: string; epoch: number; vkey: string };

export type Judged =
  | { holds: true; seen: Seen; checkpoint: SignedCheckpoint }
  | { holds: false; reason: 'rolled_back' | 'forked' | 'other_key' | 'unsound'; detail: string };

/**
 * Whether what a log shows now continues what it showed before. A log that was never seen is taken
 * at its word, its key with it; from then on another key counts only where the one before named it.
 */
export function judge(known: Seen | undefined, answer: CheckpointAnswer): Judged {
  const checkpoint = parseSignedCheckpoint(answer.checkpoint);
  if (checkpoint === undefined) return no('unsound', 'what it shows is no checkpoint');
  const before = known && parseSignedCheckpoint(known.note);
  if (known !== undefined && before === undefined) return no('unsound', 'what is kept is damaged');
  const grown = before && compare(before, checkpoint, answer);
  if (grown !== undefined && !grown.holds) return grown;
  const key = known === undefined ? newestKey(answer) : followKeys(known, checkpoint, answer);
  if (key === undefined) {
    return no('other_key', 'its key is not the one that was seen before, nor named by that one');
  }
  if (!isSignedBy(checkpoint, key.vkey)) {
    return no('other_key', `its checkpoint of ${checkpoint.size} records is not signed by its key`);
  }
  return { holds: true, seen: { note: answer.checkpoint, ...key }, checkpoint };
}

function compare(
  before: SignedCheckpoint,
  now: SignedCheckpoint,
  { consistency }: CheckpointAnswer,
): Judged | undefined {
  if (now.origin !== before.origin) return no('unsound', `it calls itself ${now.origin}`);
  if (now.size < before.size) {
    const detail = `the log had ${before.size} records when it was last seen, now it has ${now.size}`;
    return no('rolled_back', detail);
  }
  const proof =
    now.size === before.size
      ? []
      : consistency?.from === before.size
        ? parseProof(consistency.proof)
        : undefined;
  const sizes = { from: before.size, to: now.size };
  const roots = { fromRoot: before.root, toRoot: now.root };
  if (proof !== undefined && isConsistent({ ...sizes, ...roots, proof })) return undefined;
  const what =
    now.size === before.size ? 'are others than' : 'are not proven to be, of what there is now,';
  return no('forked', `the ${before.size} records that were seen before ${what} the first ones`);
}

/** Taken at its word. */
function newestKey({
  keys,
  checkpoint,
}: CheckpointAnswer): Pick<Seen, 'epoch' | 'vkey'> | undefined {
  const size = parseSignedCheckpoint(checkpoint)?.size ?? 0;
  // What names a successor is the last thing that the key before it signs.
  const key = keys.findLast(({ seq, epoch }) => seq + (epoch === 0 ? 0 : 1) < size);
  return key && { epoch: key.epoch, vkey: key.vkey };
}

/** From the key that is known over those that each one named itself, to the newest. */
function followKeys(
  known: Seen,
  newest: SignedCheckpoint,
  { epochs }: CheckpointAnswer,
): Pick<Seen, 'epoch' | 'vkey'> | undefined {
  const knownSize = parseSignedCheckpoint(known.note)?.size ?? 0;
  let { epoch, vkey } = known;
  for (const row of epochs) {
    if (row.epoch <= epoch) continue;
    // Named, and not signing yet: what is shown is the last word of the key before.
    if (row.seq + 1 >= newest.size) break;
    const next = nextKey({ epoch, vkey }, row, newest);
    // The old key never signs beyond the record of its successor.
    if (next === undefined || row.seq + 1 < knownSize) return undefined;
    ({ epoch, vkey } = next);
  }
  return { epoch, vkey };
}

function nextKey(
  { epoch, vkey }: { epoch: number; vkey: string },
  row: EpochRow,
  newest: SignedCheckpoint,
): { epoch: number; vkey: string } | undefined {
  const final = parseSignedCheckpoint(row.checkpoint);
  const [proof, consistency] = [parseProof(row.proof), parseProof(row.consistency)];
  if (final === undefined || proof === undefined || consistency === undefined) return undefined;
  const { size, root, origin } = final;
  if (origin !== newest.origin || size !== row.seq + 1 || !isSignedBy(final, vkey))
    return undefined;
  const leaf = leafHash(Buffer.from(row.line));
  const goesOn = { from: size, to: newest.size, fromRoot: root, toRoot: newest.root };
  const isProven =
    includes({ index: row.seq, size, leaf, root, proof }) &&
    isConsistent({ ...goesOn, proof: consistency });
  const said = rotationIn(row.line);
  const isNext = said?.epoch === epoch + 1 && row.epoch === said.epoch && said.previous === vkey;
  return isProven && isNext ? { epoch: said.epoch, vkey: said.vkey } : undefined;
}

function rotationIn(line: string): { epoch: number; vkey: string; previous: string } | undefined {
  try {
    const { type, data } = JSON.parse(line) as { type: unknown; data: Record<string, unknown> };
    const { epoch, vkey, previous } = data;
    return type === 'key.rotated' &&
      typeof epoch === 'number' &&
      typeof vkey === 'string' &&
      typeof previous === 'string'
      ? { epoch, vkey, previous }
      : undefined;
  } catch {
    return undefined;
  }
}

export function isSignedBy({ note, origin }: SignedCheckpoint, vkey: string): boolean {
  const key = parseVkey(vkey);
  return key?.kind === 'ed25519' && key.name === origin && signedBy(note, key).signed;
}

function no(reason: (Judged & { holds: false })['reason'], detail: string): Judged {
  return { holds: false, reason, detail };
}
