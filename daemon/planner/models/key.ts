import { hash } from 'node:crypto';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { ModelTrouble } from './trouble.ts';
import type { KeySource } from './settings.ts';

export type KeyPlaces = {
  /** The daemon's own user; files of root are as good. */
  uid: number;
  /** Where systemd puts credentials, `$CREDENTIALS_DIRECTORY`. */
  credentials: string | undefined;
};

/** The key of a provider. Nothing but the request to it ever sees the text. */
export type ApiKey = {
  text: string;
  /** Tells one key from another without being one. */
  mark: string;
};

const bytesMax = 4096;

/**
 * Read anew for each plan, so that a key can be changed under a running daemon. What others could
 * have read or written is refused, and no message names a single character of it.
 */
export async function readKey(source: KeySource, places: KeyPlaces): Promise<ApiKey> {
  const text = (await readWhole(source, places)).trim();
  if (!/^[\x21-\x7e]{1,4096}$/.test(text)) {
    throw new ModelTrouble('key', 'the key is empty, too long or holds what no header can');
  }
  return { text, mark: hash('sha256', text, 'hex').slice(0, 16) };
}

async function readWhole(source: KeySource, places: KeyPlaces): Promise<string> {
  const isCredential = 'credential' in source;
  if (isCredential && places.credentials === undefined) {
    throw new ModelTrouble('key', 'the daemon was given no credentials');
  }
  const path = isCredential ? `${places.credentials}/${source.credential}` : source.file;
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
  // Not blocking: a FIFO would otherwise wait for somebody to write.
  const file = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK).catch((cause: unknown) => {
    const code = (cause as NodeJS.ErrnoException).code ?? '';
    throw new ModelTrouble('key', `the key cannot be read (${code})`);
  });
  try {
    const found = await file.stat();
    if (!found.isFile()) throw new ModelTrouble('key', 'the key is not a regular file');
    const isOurs = found.uid === places.uid || found.uid === 0;
    // The bits of the group may stand for systemd's access list, which names the daemon's user.
    const others = isCredential && found.uid === 0 && found.gid === 0 ? 0o027 : 0o077;
    if (!isOurs || (found.mode & others) !== 0) {
      throw new ModelTrouble('key', 'others can read or change the key: it needs mode 0600');
    }
    if (found.size > bytesMax) throw new ModelTrouble('key', 'the key is too long');
    const block = Buffer.alloc(bytesMax + 1);
    const { bytesRead } = await file.read(block, 0, block.length, 0);
    return block.toString('latin1', 0, bytesRead);
  } finally {
    await file.close();
  }
}
