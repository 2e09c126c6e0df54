import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { constants } from 'node:fs';
import { open, readFile, rename, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import type { NoteKey } from '../signer/sign-note.ts';

/**
 * The witness's key and the name it goes by. Made at the first start; both stay, because others
 * have them in their configuration.
 */
export async function ownKey(
  dir: string,
  { file = join(dir, 'key.pem'), name }: { file?: string | undefined; name?: string | undefined },
): Promise<NoteKey> {
  const pem = await readOrMake(file, () => {
    const { privateKey } = generateKeyPairSync('ed25519');
    return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  });
  const wanted = name ?? `${hostname().replaceAll(/[^A-Za-z0-9.-]/g, '-')}/orchestra-witness`;
  const kept = await readOrMake(join(dir, 'name'), () => wanted);
  if (name !== undefined && name !== kept) {
    throw new Error(`this witness has gone by the name ${kept} and cannot change it`);
  }
  if (!/^[\w./-]{1,128}$/.test(kept)) throw new Error(`${kept} is no name for a witness`);
  const secret = createPrivateKey(pem);
  if (secret.asymmetricKeyType !== 'ed25519') throw new Error(`${file} is not an Ed25519 key`);
  return { name: kept, secret };
}

async function readOrMake(path: string, make: () => string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const text = make();
  // Whole or not there: others rely on what is in it for as long as the witness lives.
  await rm(`${path}.new`, { force: true });
  {
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
    await using file = await open(`${path}.new`, flags, 0o600);
    await file.writeFile(text);
    await file.sync();
  }
  await rename(`${path}.new`, path);
  await using folder = await open(dirname(path), 'r');
  await folder.sync();
  return text;
}
