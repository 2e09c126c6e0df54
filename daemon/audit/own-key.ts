import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  hash,
  type KeyObject,
} from 'node:crypto';
import { constants } from 'node:fs';
import { mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { OrchestraError } from '#contract/errors.ts';
import type { Digest } from '#contract/ids.ts';
import { makeFile } from './make-file.ts';

/** `id` is the sha256 of the public key in its SPKI form. */
export type Key = { secret: KeyObject; spki: Buffer; id: Digest };

const keyBytesMax = 4096;

/** The Ed25519 key of this installation; made where there is none yet. */
export async function readOrMakeKey(file: string): Promise<Key> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  const found = await readKey(file);
  if (found !== undefined) return found;
  const { privateKey } = generateKeyPairSync('ed25519');
  const isOurs = await makeFile(file, privateKey.export({ type: 'pkcs8', format: 'pem' }));
  // Somebody else of this daemon was faster.
  const made = isOurs ? keyOf(privateKey) : await readKey(file);
  if (made === undefined) throw notOurs();
  return made;
}

/** A key that others may read is no key of ours any more. */
async function readKey(file: string): Promise<Key | undefined> {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  try {
    await using handle = await open(file, flags);
    const { mode, uid, size } = await handle.stat();
    const isOwn = (mode & constants.S_IFMT) === constants.S_IFREG && uid === process.getuid?.();
    if (!isOwn || (mode & 0o077) !== 0 || size > keyBytesMax) throw notOurs();
    const secret = createPrivateKey(await handle.readFile());
    if (secret.asymmetricKeyType !== 'ed25519') throw notOurs();
    return keyOf(secret);
  } catch (cause) {
    if (cause instanceof OrchestraError) throw cause;
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw notOurs(cause);
  }
}

function keyOf(secret: KeyObject): Key {
  const spki = createPublicKey(secret).export({ type: 'spki', format: 'der' });
  return { secret, spki, id: `sha256:${hash('sha256', spki, 'hex')}` };
}

function notOurs(cause?: unknown): OrchestraError {
  return new OrchestraError(
    'config.invalid',
    'The key for reports is not a file of mode 0600 of the daemon’s own with an Ed25519 key in it',
    {
      hint: 'look who changed keys/report.key in the state directory; without it a new one is made',
      cause,
    },
  );
}
