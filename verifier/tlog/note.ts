import { createPublicKey, hash, verify, type KeyObject } from 'node:crypto';
import { isUtf8 } from 'node:buffer';

/** Signed notes and keys as C2SP signed-note v1 and tlog-cosignature v1 write them. */
export type Note = {
  /** What was signed, its last line feed included. */
  text: string;
  signatures: NoteSignature[];
};
export type NoteSignature = { name: string; id: number; bytes: Buffer };

/** `ed25519` signs the text; `cosignature` signs the text and a time. */
export type KeyKind = 'ed25519' | 'cosignature';
export type VerifierKey = {
  vkey: string;
  name: string;
  id: number;
  kind: KeyKind;
  key: KeyObject;
};

/** What a key says of a note. `at` is the time of a cosignature in seconds since 1970. */
export type Signed =
  { signed: true; at: number | undefined } | { signed: false; why: 'absent' | 'wrong' };

export const noteBytesMax = 64 * 1024;
const signaturesMax = 64;
const kindBytes = { ed25519: 1, cosignature: 4 } as const;
const emDash = '\u2014';

/** The note in these bytes, or undefined where they are none. */
export function parseNote(bytes: Uint8Array | string): Note | undefined {
  const buffer = Buffer.from(bytes);
  if (buffer.length > noteBytesMax || !isUtf8(buffer)) return undefined;
  const all = buffer.toString('utf8');
  // oxlint-disable-next-line no-control-regex -- exactly these may not be there
  if (/[\0-\x09\x0b-\x1f]/.test(all) || !all.endsWith('\n')) return undefined;
  const split = all.lastIndexOf('\n\n');
  if (split === -1) return undefined;
  const lines = all.slice(split + 2, -1).split('\n');
  if (lines.length > signaturesMax) return undefined;
  const signatures = lines.map(parseSignature);
  if (!signatures.every((one) => one !== undefined)) return undefined;
  return { text: all.slice(0, split + 1), signatures };
}

export function spellNote({ text, signatures }: Note): string {
  return `${text}\n${signatures.map(spellSignature).join('')}`;
}

/** One line with its line feed. */
export function spellSignature({ name, id, bytes }: NoteSignature): string {
  const head = Buffer.alloc(4);
  head.writeUInt32BE(id);
  return `${emDash} ${name} ${Buffer.concat([head, bytes]).toString('base64')}\n`;
}

/** A signature line without its line feed. */
export function parseSignature(line: string): NoteSignature | undefined {
  const parts = line.split(' ');
  const [dash, name = '', coded = ''] = parts;
  if (parts.length !== 3 || dash !== emDash || !isKeyName(name)) return undefined;
  const bytes = fromBase64(coded);
  if (bytes === undefined || bytes.length < 5) return undefined;
  return { name, id: bytes.readUInt32BE(0), bytes: bytes.subarray(4) };
}

/** The key in `name+id+key`; undefined where it is none, or its id is not that of its key. */
export function parseVkey(vkey: string): VerifierKey | undefined {
  const match = /^([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/.exec(vkey);
  const [, name = '', id = '', coded = ''] = match ?? [];
  const material = fromBase64(coded);
  if (match === null || !isKeyName(name) || material?.length !== 33) return undefined;
  const kind = (['ed25519', 'cosignature'] as const).find((one) => kindBytes[one] === material[0]);
  if (kind === undefined) return undefined;
  const raw = material.subarray(1);
  const parsed = { vkey, name, id: keyId(name, kind, raw), kind, key: publicKeyOf(raw) };
  return parsed.id === Number.parseInt(id, 16) ? parsed : undefined;
}

/** The text form of a public key of 32 bytes under a name. */
export function spellVkey(name: string, kind: KeyKind, raw: Uint8Array): string {
  const id = keyId(name, kind, raw).toString(16).padStart(8, '0');
  const material = Buffer.concat([Buffer.from([kindBytes[kind]]), raw]);
  return `${name}+${id}+${material.toString('base64')}`;
}

export function keyId(name: string, kind: KeyKind, raw: Uint8Array): number {
  const head = Buffer.from(`${name}\n`);
  const bytes = Buffer.concat([head, Buffer.from([kindBytes[kind]]), raw]);
  return hash('sha256', bytes, 'buffer').readUInt32BE(0);
}

/** Looks only at the signatures that carry the key's name and id; one wrong among them is wrong. */
export function signedBy(note: Note, key: VerifierKey): Signed {
  const own = note.signatures.filter(({ name, id }) => name === key.name && id === key.id);
  let at: number | undefined;
  for (const { bytes } of own) {
    if (key.kind === 'ed25519') {
      if (bytes.length !== 64 || !verify(null, Buffer.from(note.text), key.key, bytes)) {
        return { signed: false, why: 'wrong' };
      }
      continue;
    }
    if (bytes.length !== 72) return { signed: false, why: 'wrong' };
    const time = bytes.readBigUInt64BE(0);
    const message = Buffer.from(cosignedText(note.text, time));
    if (!verify(null, message, key.key, bytes.subarray(8))) return { signed: false, why: 'wrong' };
    at = Number(time);
  }
  return own.length === 0 ? { signed: false, why: 'absent' } : { signed: true, at };
}

/** What a cosigner signs: C2SP tlog-cosignature v1, Ed25519. `time` in seconds since 1970. */
export function cosignedText(text: string, time: bigint): string {
  return `cosignature/v1\ntime ${time}\n${text}`;
}

/** Standard base64 with padding and no other spelling of the same bytes. */
export function fromBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : undefined;
}

/** Raw Ed25519 keys behind the fixed head of their SPKI form (RFC 8410). */
export function publicKeyOf(raw: Uint8Array): KeyObject {
  const head = Buffer.from('302a300506032b6570032100', 'hex');
  return createPublicKey({ key: Buffer.concat([head, raw]), format: 'der', type: 'spki' });
}

function isKeyName(name: string): boolean {
  return name.length > 0 && name.length <= 256 && !/[\s+\p{White_Space}]/u.test(name);
}
