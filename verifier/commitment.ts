import { hash } from 'node:crypto';

/**
 * What the log says instead of a text: SHA-256 over these words, a random salt of 32 bytes and the
 * text in UTF-8. With the salt anybody can check a text that was disclosed; without it nobody can
 * guess one, nor see that two are equal.
 */
const words = Buffer.from('orchestra/commit/v1');
export const saltBytes = 32;

export function commitmentOf(salt: Uint8Array, value: string): string {
  if (salt.length !== saltBytes) throw new RangeError(`a salt has ${saltBytes} bytes`);
  return hash('sha256', Buffer.concat([words, salt, Buffer.from(value, 'utf8')]), 'hex');
}
