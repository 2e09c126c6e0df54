import { createPublicKey, hash, verify } from 'node:crypto';
import { Attestation, AttestationStatement, signedBytes } from '#contract/attestation.ts';
import { OrchestraError } from '#contract/errors.ts';

export type Checked = { statement: AttestationStatement; key: string };

/**
 * Whether an attestation is whole: signed by the key that is in it, and about exactly these files.
 * Whose key that is, only the log or somebody's own note of it can say.
 */
export function checkAttestation(
  text: string,
  files: Readonly<Record<string, Uint8Array>>,
): Checked {
  const parsed = Attestation.safeParse(parseJson(text));
  if (!parsed.success) throw broken('the attestation is not one');
  const { payloadType, payload, signatures, publicKey } = parsed.data;
  const [signature] = signatures;
  const spki = Buffer.from(publicKey, 'base64');
  const bytes = Buffer.from(payload, 'base64');
  const key = `sha256:${hash('sha256', spki, 'hex')}`;
  if (signature?.keyid !== key) throw broken('the key is not the one that it is called');
  if (!holds(spki, signedBytes(payloadType, bytes), Buffer.from(signature.sig, 'base64'))) {
    throw broken('the signature does not hold');
  }
  const statement = AttestationStatement.safeParse(parseJson(bytes.toString('utf8')));
  if (!statement.success) throw broken('what was signed is not a statement');
  for (const [name, content] of Object.entries(files)) {
    const said = statement.data.subject.filter((each) => each.name === name);
    const [only] = said;
    if (said.length !== 1 || only?.digest.sha256 !== hash('sha256', content, 'hex')) {
      throw broken(`${name} is not the file that was signed`);
    }
  }
  return { statement: statement.data, key };
}

function holds(spki: Buffer, bytes: Uint8Array, signature: Buffer): boolean {
  try {
    const key = createPublicKey({ key: spki, format: 'der', type: 'spki' });
    return key.asymmetricKeyType === 'ed25519' && verify(null, bytes, key, signature);
  } catch {
    return false;
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export function broken(why: string): OrchestraError {
  return new OrchestraError('report.broken', `The report cannot be trusted: ${why}`, {
    hint: 'make a new one: orchestra selftest --hostile',
  });
}
