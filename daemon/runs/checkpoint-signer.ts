import { createPublicKey, hash, sign, verify } from 'node:crypto';
import { OrchestraError } from '#contract/errors.ts';
import type { Digest } from '#contract/ids.ts';
import { RunCheckpoint, type UnsignedCheckpoint } from '#contract/run.ts';
import { readOrMakeKey, type Key } from '../audit/own-key.ts';
import { canonicalJson } from '../base/canonical.ts';

/**
 * What a checkpoint says of a task that succeeded is taken on somebody's word, so it carries one:
 * that of the daemon which wrote it. Another daemon goes on from it where its operator trusts the
 * key; an edited one is nobody's.
 */
export class CheckpointSigner {
  readonly #keyFile: string;
  readonly #trusted: ReadonlySet<Digest>;
  #key: Promise<Key> | undefined;

  constructor(keyFile: string, trusted: readonly Digest[]) {
    this.#keyFile = keyFile;
    this.#trusted = new Set(trusted);
  }

  async sign(checkpoint: UnsignedCheckpoint): Promise<RunCheckpoint> {
    const key = await this.key();
    const sig = sign(null, bytesOf(checkpoint), key.secret).toString('base64');
    const signature = { key: key.id, public_key: key.spki.toString('base64'), sig };
    return { ...checkpoint, signature };
  }

  /** Throws `checkpoint.invalid` for one that is not whole, and `access.denied` for a stranger's. */
  async open(document: { version: number }): Promise<RunCheckpoint> {
    if (document.version !== 1) {
      throw invalid(`It is of version ${document.version}, and this daemon knows 1`, {
        hint: 'go on from it with the version of Orchestra that wrote it, or a later one',
      });
    }
    const read = RunCheckpoint.safeParse(document);
    if (!read.success) {
      const [issue] = read.error.issues;
      throw invalid(
        `It is not a whole checkpoint: ${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}`,
      );
    }
    const { signature, ...content } = read.data;
    const spki = Buffer.from(signature.public_key, 'base64');
    if (
      `sha256:${hash('sha256', spki, 'hex')}` !== signature.key ||
      !isSigned(content, spki, signature.sig)
    ) {
      throw invalid('Its signature does not fit: it was changed after a daemon wrote it');
    }
    const own = await this.key();
    if (signature.key !== own.id && !this.#trusted.has(signature.key)) {
      throw new OrchestraError(
        'access.denied',
        'The checkpoint was written by a daemon that this one does not trust',
        {
          hint: `add ${signature.key} to trusted_keys in the configuration, if it is yours`,
        },
      );
    }
    return read.data;
  }

  /** Of this installation; made when it is first needed. */
  async key(): Promise<Key> {
    const key = (this.#key ??= readOrMakeKey(this.#keyFile));
    key.catch(() => (this.#key = undefined));
    return key;
  }
}

function isSigned(content: UnsignedCheckpoint, spki: Buffer, sig: string): boolean {
  try {
    const key = createPublicKey({ key: spki, format: 'der', type: 'spki' });
    if (key.asymmetricKeyType !== 'ed25519') return false;
    return verify(null, bytesOf(content), key, Buffer.from(sig, 'base64'));
  } catch {
    return false;
  }
}

function bytesOf(checkpoint: UnsignedCheckpoint): Buffer {
  return Buffer.from(`orchestra checkpoint\n${canonicalJson(checkpoint)}`);
}

function invalid(message: string, options: { hint?: string } = {}): OrchestraError {
  return new OrchestraError('checkpoint.invalid', message, {
    hint: 'take the file as a daemon wrote it, or resume the run itself: orchestra resume RUN',
    ...options,
  });
}
