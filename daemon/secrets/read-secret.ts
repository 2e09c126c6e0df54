import { constants, type Stats } from 'node:fs';
import { lstat, open, type FileHandle } from 'node:fs/promises';
import { OrchestraError } from '#contract/errors.ts';
import { SecretName } from '#contract/ids.ts';
import { coreOf, withoutBreaks } from './core.ts';
import { spellingMin } from './spellings.ts';

export const secretBytesMax = 64 * 1024;

export type StoreFacts = {
  directory: string;
  /** The daemon's own user; files of root are as good. */
  uid: number;
  /**
   * Another program's directory, such as systemd's credentials. Its group bits may stand for an
   * access list that names the daemon's user, so reading by the group of root is let pass there.
   */
  isForeign: boolean;
};

/** The value of one secret. Whatever somebody else could have read or written is refused. */
export async function readSecret(facts: StoreFacts, name: string): Promise<Buffer> {
  const file = await openSecret(facts, name);
  try {
    checkFile(await file.stat(), facts, name);
    const block = Buffer.alloc(secretBytesMax + 1);
    let length = 0;
    for (;;) {
      const { bytesRead } = await file.read(block, length, block.length - length, length);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    const value = Buffer.from(block.subarray(0, length));
    block.fill(0);
    checkValue(value, name);
    return value;
  } finally {
    await file.close();
  }
}

/** Throws `secret.exposed` where others could read, write or replace what lies in the directory. */
export async function checkDirectory({ directory, uid, isForeign }: StoreFacts): Promise<void> {
  const found = await lstat(directory).catch((cause: unknown) => {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw exposed('The directory of secrets cannot be looked at', cause);
  });
  if (found === undefined) return;
  if (!found.isDirectory()) throw exposed('The directory of secrets is no directory');
  const problem = whoElse(found, uid, isForeign);
  if (problem !== undefined) throw exposed(`The directory of secrets ${problem}`);
}

/** Throws `secret.invalid` for a value that could not be kept out of the output. Never names it. */
export function checkValue(value: Uint8Array, name: string): void {
  const refuse = (why: string, hint: string) => {
    throw new OrchestraError('secret.invalid', `The value of ${name} ${why}`, { hint });
  };
  if (value.length > secretBytesMax) refuse(`is larger than ${secretBytesMax} bytes`, 'shorten it');
  if (withoutBreaks(coreOf(value)).length < spellingMin) {
    refuse(
      `has fewer than ${spellingMin} bytes besides white space, too few to be masked in output`,
      'use a longer one',
    );
  }
}

export function secretName(name: string): SecretName {
  const parsed = SecretName.safeParse(name);
  if (parsed.success) return parsed.data;
  const why = parsed.error.issues[0]?.message ?? 'not a name';
  throw new OrchestraError('secret.invalid', `This is no name of a secret: it ${why}`);
}

async function openSecret({ directory }: StoreFacts, name: string): Promise<FileHandle> {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
  try {
    // Not blocking: a FIFO would otherwise wait for somebody to write.
    return await open(`${directory}/${secretName(name)}`, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch (cause) {
    if (cause instanceof OrchestraError) throw cause;
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ELOOP') throw exposed(`The secret ${name} is a link`, cause);
    if (code === 'ENOENT') {
      throw new OrchestraError('secret.unknown', `There is no secret ${name}`, {
        hint: `orchestra secret set ${name}`,
      });
    }
    throw exposed(`The secret ${name} cannot be opened`, cause);
  }
}

function checkFile(found: Stats, { uid, isForeign }: StoreFacts, name: string): void {
  if (!found.isFile()) throw exposed(`The secret ${name} is not a regular file`);
  // A second name may lie in a directory that others can open.
  if (found.nlink !== 1) throw exposed(`The secret ${name} has more than one name`);
  const problem = whoElse(found, uid, isForeign);
  if (problem !== undefined) throw exposed(`The secret ${name} ${problem}`);
  if (found.size > secretBytesMax) {
    throw new OrchestraError(
      'secret.invalid',
      `The value of ${name} is larger than ${secretBytesMax} bytes`,
    );
  }
}

function whoElse(found: Stats, uid: number, isForeign: boolean): string | undefined {
  if (found.uid !== uid && found.uid !== 0) return "belongs to neither the daemon's user nor root";
  const groupMayRead = isForeign && found.uid === 0 && found.gid === 0;
  const others = groupMayRead ? 0o027 : 0o077;
  if ((found.mode & others) !== 0) return 'can be read or changed by others';
  return undefined;
}

function exposed(message: string, cause?: unknown): OrchestraError {
  return new OrchestraError('secret.exposed', message, {
    hint: 'the directory needs mode 0700, its files 0600, all of the daemon’s own user',
    cause,
  });
}
