import { createPublicKey, hash, verify, type KeyObject } from 'node:crypto';
import { signedBytes } from '#contract/attestation.ts';
import { OrchestraError } from '#contract/errors.ts';
import { Envelope, ProvenanceStatement } from '#contract/provenance.ts';

/** What the reader trusts, from outside of the file: a key, or the fingerprint of one. */
export type Trusted = { fingerprint: string; key?: KeyObject };

/** The text of `--key`: a fingerprint, or what is in a file with a public key (PEM). */
export function trustedKey(text: string): Trusted | undefined {
  if (/^sha256:[0-9a-f]{64}$/.test(text)) return { fingerprint: text };
  try {
    const key = createPublicKey(text);
    return key.asymmetricKeyType === 'ed25519'
      ? { fingerprint: fingerprintOf(key), key }
      : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Every statement in a file: one envelope as JSON, or one a line. Each is signed by that key, or
 * `provenance.broken` says why nothing in the file is to be believed.
 */
export function checkProvenance(text: string, trusted: Trusted): ProvenanceStatement[] {
  const whole = parseJson(text);
  const found =
    whole === undefined ? text.split('\n').filter((line) => line.trim() !== '') : [text];
  if (found.length === 0) throw broken('there is no envelope in it');
  return found.map((one) => checkEnvelope(parseJson(one), trusted));
}

function checkEnvelope(value: unknown, trusted: Trusted): ProvenanceStatement {
  const parsed = Envelope.safeParse(value);
  if (!parsed.success) throw broken('it holds something else than signed provenance');
  const { payloadType, payload, signatures, publicKey } = parsed.data;
  const [signature] = signatures;
  const bytes = Buffer.from(payload, 'base64');
  const key = trusted.key ?? keyOf(publicKey);
  if (key === undefined || fingerprintOf(key) !== trusted.fingerprint) {
    throw broken('it was signed with another key than the one that you trust');
  }
  const sig = Buffer.from(signature?.sig ?? '', 'base64');
  if (!verify(null, signedBytes(payloadType, bytes), key, sig)) {
    throw broken('the signature does not hold: it was changed, or signed with another key');
  }
  const statement = ProvenanceStatement.safeParse(parseJson(bytes.toString('utf8')));
  if (!statement.success) throw broken('what was signed is not provenance');
  return statement.data;
}

function keyOf(spki: string): KeyObject | undefined {
  try {
    const key = createPublicKey({ key: Buffer.from(spki, 'base64'), format: 'der', type: 'spki' });
    return key.asymmetricKeyType === 'ed25519' ? key : undefined;
  } catch {
    return undefined;
  }
}

function fingerprintOf(key: KeyObject): string {
  return `sha256:${hash('sha256', key.export({ type: 'spki', format: 'der' }), 'hex')}`;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export function broken(why: string): OrchestraError {
  return new OrchestraError('provenance.broken', `The provenance does not hold: ${why}`);
}
