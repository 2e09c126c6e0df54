import { randomBytes } from 'node:crypto';
import type { RunId } from '#contract/ids.ts';
import type { TokenId } from '#contract/tokens.ts';

const crockford = '0123456789abcdefghjkmnpqrstvwxyz';

/** A fresh run id: 50 random bits, so ten million runs collide with a chance of about 4 in 100. */
export function newRunId(): RunId {
  return `r-${randomText(10)}`;
}

/** A fresh id for one request or one operation, such as `q-4z0c…`: ties an intent to its result. */
export function newRequestId(): string {
  return `q-${randomText(16)}`;
}

/** A fresh id for a token: names it, and says nothing of its secret. */
export function newTokenId(): TokenId {
  return `t-${randomText(10)}`;
}

/** A fresh id for something that people are asked. */
export function newAskId(): string {
  return `a-${randomText(10)}`;
}

function randomText(length: number): string {
  let text = '';
  // 256 is a multiple of 32: no letter is likelier than another.
  for (const byte of randomBytes(length)) text += crockford.charAt(byte & 31);
  return text;
}
