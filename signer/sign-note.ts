import { createPublicKey, sign, type KeyObject } from 'node:crypto';
import {
  cosignedText,
  keyId,
  spellVkey,
  type KeyKind,
  type NoteSignature,
} from '#verifier/tlog/note.ts';

/** An Ed25519 key that signs under a name; its parts of the signed-note format. */
export type NoteKey = { name: string; secret: KeyObject };

/** The signature line of the one who keeps the log. */
export function signNote(text: string, { name, secret }: NoteKey): NoteSignature {
  const bytes = sign(null, Buffer.from(text), secret);
  return { name, id: keyId(name, 'ed25519', rawPublicKey(secret)), bytes };
}

/** The signature line of a witness, who says as well when that was: seconds since 1970. */
export function cosignNote(text: string, { name, secret }: NoteKey, time: bigint): NoteSignature {
  const head = Buffer.alloc(8);
  head.writeBigUInt64BE(time);
  const signature = sign(null, Buffer.from(cosignedText(text, time)), secret);
  const id = keyId(name, 'cosignature', rawPublicKey(secret));
  return { name, id, bytes: Buffer.concat([head, signature]) };
}

/** What others need to check signatures of this key. */
export function vkeyOf({ name, secret }: NoteKey, kind: KeyKind = 'ed25519'): string {
  return spellVkey(name, kind, rawPublicKey(secret));
}

// The last 32 bytes of its SPKI form (RFC 8410).
function rawPublicKey(secret: KeyObject): Buffer {
  return createPublicKey(secret).export({ type: 'spki', format: 'der' }).subarray(-32);
}
