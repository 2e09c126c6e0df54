import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { saltBytes } from '#verifier/commitment.ts';

/** A value as it lies on disk; a line of JSON in the file of its subject. */
export type Sealed = {
  /** Its commitment, as the log has it. */
  c: string;
  n: string;
  e: string;
};

export type Opened = { salt: Buffer; value: string };

const nonceBytes = 12;
const tagBytes = 16;

/** AES-256-GCM, bound to the subject and the commitment: no entry passes for another. */
export function seal(
  { key, subject }: { key: Uint8Array; subject: string },
  commitment: string,
  { salt, value }: Opened,
): Sealed {
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(bound(subject, commitment));
  const content = Buffer.concat([cipher.update(salt), cipher.update(value, 'utf8')]);
  const sealed = Buffer.concat([content, cipher.final(), cipher.getAuthTag()]);
  return { c: commitment, n: nonce.toString('base64'), e: sealed.toString('base64') };
}

/** Nothing where it was changed, or belongs elsewhere. */
export function unseal(
  { key, subject }: { key: Uint8Array; subject: string },
  { c, n, e }: Sealed,
): Opened | undefined {
  const sealed = Buffer.from(e, 'base64');
  const nonce = Buffer.from(n, 'base64');
  if (nonce.length !== nonceBytes || sealed.length < saltBytes + tagBytes) return undefined;
  const tag = sealed.subarray(sealed.length - tagBytes);
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes })
      .setAAD(bound(subject, c))
      .setAuthTag(tag);
    const content = decipher.update(sealed.subarray(0, sealed.length - tagBytes));
    const opened = Buffer.concat([content, decipher.final()]);
    const value = opened.subarray(saltBytes).toString('utf8');
    return { salt: opened.subarray(0, saltBytes), value };
  } catch {
    return undefined;
  }
}

function bound(subject: string, commitment: string): Buffer {
  return Buffer.from(`orchestra/vault/v1\0${subject}\0${commitment}`);
}
