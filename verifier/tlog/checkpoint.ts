import { hashBytes, proofHashesMax, type Proof } from './merkle.ts';
import { fromBase64, parseNote, type Note } from './note.ts';

/** The state of a log that somebody signs: C2SP tlog-checkpoint. */
export type Checkpoint = { origin: string; size: number; root: Buffer };
export type SignedCheckpoint = Checkpoint & { note: Note };

export function checkpointText({ origin, size, root }: Checkpoint): string {
  return `${origin}\n${size}\n${root.toString('base64')}\n`;
}

/** Extension lines are tolerated and say nothing. Undefined where the text is no checkpoint. */
export function parseCheckpoint(text: string): Checkpoint | undefined {
  const lines = text.split('\n');
  const [origin = '', digits = '', coded = ''] = lines;
  if (lines.length < 4 || lines.at(-1) !== '' || lines.slice(0, -1).includes('')) return undefined;
  const size = parseSize(digits);
  const root = fromBase64(coded);
  if (size === undefined || root?.length !== hashBytes) return undefined;
  return { origin, size, root };
}

export function parseSignedCheckpoint(bytes: Uint8Array | string): SignedCheckpoint | undefined {
  const note = parseNote(bytes);
  const checkpoint = note && parseCheckpoint(note.text);
  return note && checkpoint && { ...checkpoint, note };
}

/** A decimal without leading zeros that fits a number. */
export function parseSize(digits: string): number | undefined {
  if (!/^(0|[1-9]\d{0,15})$/.test(digits)) return undefined;
  const size = Number(digits);
  return Number.isSafeInteger(size) ? size : undefined;
}

/** Lines of base64, one hash each; undefined where one is none or there are too many. */
export function parseProof(lines: readonly string[]): Proof | undefined {
  if (lines.length > proofHashesMax) return undefined;
  const proof = lines.map(fromBase64);
  return proof.every((one) => one?.length === hashBytes) ? (proof as Buffer[]) : undefined;
}

export function spellProof(proof: Proof): string[] {
  return proof.map((one) => one.toString('base64'));
}

/** A record, its place and the checkpoint that covers it: C2SP tlog-proof v1. */
export type InclusionProof = { index: number; proof: Proof; checkpoint: string };

const proofHeader = 'c2sp.org/tlog-proof@v1';

export function spellTlogProof({ index, proof, checkpoint }: InclusionProof): string {
  return [proofHeader, `index ${index}`, ...spellProof(proof), '', checkpoint].join('\n');
}

export function parseTlogProof(text: string): InclusionProof | undefined {
  const [head, ...rest] = text.split('\n');
  if (head !== proofHeader) return undefined;
  if (rest[0]?.startsWith('extra ') === true) rest.shift();
  const index = parseSize(/^index (\d+)$/.exec(rest[0] ?? '')?.[1] ?? '');
  const end = rest.indexOf('');
  const proof = end === -1 ? undefined : parseProof(rest.slice(1, end));
  if (index === undefined || proof === undefined) return undefined;
  return { index, proof, checkpoint: rest.slice(end + 1).join('\n') };
}
