import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { constants } from 'node:fs';
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';

/** A key of an epoch by its number, or the one that witnesses know the log by, which stays. */
type KeyName = number | 'witness';

/** The secret keys of epochs, a file each: made once, read, and destroyed. */
export class KeyFiles {
  readonly #dir: string;

  constructor(dir: string) {
    this.#dir = dir;
  }

  async prepare(): Promise<void> {
    await mkdir(this.#dir, { recursive: true, mode: 0o700 });
    for (const name of await readdir(this.#dir)) {
      if (name.endsWith(unfinished)) await rm(join(this.#dir, name));
    }
  }

  /** Durable once it resolves. */
  async make(name: KeyName): Promise<KeyObject> {
    const path = this.#pathOf(name);
    if (await this.has(name)) throw new Error(`there is a key ${name} already`);
    const { privateKey } = generateKeyPairSync('ed25519');
    // Whole or not there: half a key would be one that nobody can sign with, for ever.
    await writeNew(`${path}${unfinished}`, privateKey.export({ type: 'pkcs8', format: 'pem' }));
    await rename(`${path}${unfinished}`, path);
    await syncFolder(this.#dir);
    return privateKey;
  }

  /** Throws where it is not there, is none, or others may read it. */
  async read(name: KeyName): Promise<KeyObject> {
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    await using file = await open(this.#pathOf(name), flags);
    const { mode, uid, size } = await file.stat();
    const isOwn = (mode & constants.S_IFMT) === constants.S_IFREG && uid === process.getuid?.();
    if (!isOwn || (mode & 0o077) !== 0 || size > keyBytesMax) {
      throw new Error(`the key ${name} is not a file of mode 0600 of the signer's own`);
    }
    const secret = createPrivateKey(await file.readFile());
    if (secret.asymmetricKeyType !== 'ed25519') throw new Error('the key is not an Ed25519 key');
    return secret;
  }

  async has(name: KeyName): Promise<boolean> {
    return (await readdir(this.#dir)).includes(`${name}.pem`);
  }

  async epochs(): Promise<number[]> {
    const names = await readdir(this.#dir);
    return names.flatMap((name) => {
      const digits = /^(\d{1,15})\.pem$/.exec(name)?.[1];
      return digits === undefined ? [] : [Number(digits)];
    });
  }

  /** Written over before it is removed; what a disk keeps of it besides is beyond a program. */
  async destroy(epoch: number): Promise<void> {
    const path = this.#pathOf(epoch);
    {
      await using file = await open(path, constants.O_WRONLY | constants.O_NOFOLLOW);
      const { size } = await file.stat();
      await file.write(Buffer.alloc(Math.min(size, keyBytesMax)), 0);
      await file.datasync();
    }
    await rm(path);
    await syncFolder(this.#dir);
  }

  #pathOf(name: KeyName): string {
    return join(this.#dir, `${name}.pem`);
  }
}

const keyBytesMax = 4096;
const unfinished = '.new';

async function writeNew(path: string, content: string | Buffer): Promise<void> {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  await using file = await open(path, flags, 0o600);
  await file.writeFile(content);
  await file.sync();
}

/** Makes the names in a folder durable. */
export async function syncFolder(path: string): Promise<void> {
  await using folder = await open(path, 'r');
  await folder.sync();
}
