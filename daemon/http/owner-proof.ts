import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { chmod, lstat, mkdir, readdir, rm } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { OrchestraError } from '#contract/errors.ts';
import { noProof, ownerScheme, proofMode, type OwnerChallenge } from '#contract/owner-proof.ts';
import type { Accounts } from '../access/accounts.ts';
import type { CallerReader, Identity } from '../access/caller.ts';

export type OwnerProofOptions = {
  /** Where callers make their files: anybody may, and nobody may look or touch another's. */
  directory: string;
  accounts: Accounts;
  now: () => number;
  /** Why the kernel is not asked. */
  missing: string | undefined;
};

const challengeMs = 60_000;
const provenMs = 60 * 60_000;
const provenMax = 4096;
const provenEachMax = 64;

/**
 * Who is calling, proven by what only the owner of a file can do: set its times to a moment that the
 * daemon chose. Somebody else's file that is linked or moved here has other times, and whoever may
 * write to it can only make them now. Challenges need no memory: they are signed.
 */
export async function ownerReader(options: OwnerProofOptions): Promise<CallerReader> {
  const { directory, accounts, now, missing } = options;
  await prepare(directory);
  const key = randomBytes(32);
  const proven = new Proven(now);
  return {
    proof: 'owner',
    missing,
    read: async (incoming) => {
      const nonce = shown(incoming);
      if (nonce === noProof) return undefined;
      if (nonce === undefined || !isOurs(nonce, key)) throw needed(directory, key, now());
      const known = proven.find(nonce);
      if (known !== undefined) return identityOf(known, accounts);
      const { file, time } = challengeOf(directory, nonce);
      if (expiryOf(nonce) < now()) throw needed(directory, key, now());
      const uid = await ownerOf(file, time);
      if (uid === undefined) throw needed(directory, key, now());
      proven.add(nonce, uid);
      return identityOf(uid, accounts);
    },
  };
}

/** Of nonces that were proven, whose they are; of each user the newest, and not for ever. */
class Proven {
  readonly #now: () => number;
  readonly #known = new Map<string, { uid: number; until: number }>();

  constructor(now: () => number) {
    this.#now = now;
  }

  find(nonce: string): number | undefined {
    const found = this.#known.get(digestOf(nonce));
    return found === undefined || found.until < this.#now() ? undefined : found.uid;
  }

  add(nonce: string, uid: number): void {
    const his = [...this.#known].filter(([, each]) => each.uid === uid);
    if (his.length >= provenEachMax) this.#known.delete(his[0]?.[0] ?? '');
    if (this.#known.size >= provenMax) this.#known.delete([...this.#known.keys()][0] ?? '');
    this.#known.set(digestOf(nonce), { uid, until: this.#now() + provenMs });
  }
}

async function prepare(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const found = await lstat(directory);
  if (!found.isDirectory() || found.uid !== process.getuid?.()) {
    throw new OrchestraError('config.invalid', `${directory} is not the daemon's own directory`, {
      hint: 'remove it; the daemon makes it anew',
    });
  }
  for (const name of await readdir(directory)) {
    await rm(join(directory, name), { recursive: true, force: true });
  }
  await chmod(directory, 0o1733);
}

function shown({ headers }: IncomingMessage): string | undefined {
  const [scheme, value] = (headers.authorization ?? '').split(' ');
  return scheme === ownerScheme ? value : undefined;
}

function needed(directory: string, key: Buffer, now: number): OrchestraError {
  const { nonce, file, time } = challengeOf(directory, newNonce(key, now));
  return new OrchestraError('auth.needed', 'Show who you are', {
    hint: 'the daemon cannot ask the kernel; orchestra of this version does this by itself',
    places: [
      { pointer: '/nonce', message: nonce },
      { pointer: '/file', message: file },
      { pointer: '/time', message: String(time) },
    ],
  });
}

function newNonce(key: Buffer, now: number): string {
  const said = `${randomBytes(24).toString('base64url')}.${Math.round(now + challengeMs).toString(36)}`;
  return `${said}.${macOf(said, key)}`;
}

function isOurs(nonce: string, key: Buffer): boolean {
  const cut = nonce.lastIndexOf('.');
  const given = Buffer.from(nonce.slice(cut + 1));
  const right = Buffer.from(macOf(nonce.slice(0, Math.max(0, cut)), key));
  return given.length === right.length && timingSafeEqual(given, right);
}

function macOf(said: string, key: Buffer): string {
  return createHmac('sha256', key).update(said).digest('base64url');
}

function expiryOf(nonce: string): number {
  return Number.parseInt(nonce.split('.')[1] ?? '0', 36);
}

/** The moment lies decades back: no file has it by being written to. */
function challengeOf(directory: string, nonce: string): OwnerChallenge {
  const digest = digestOf(nonce);
  const time = 0x1000_0000 + (Number.parseInt(digest.slice(32, 40), 16) % 0x2000_0000);
  return { nonce, file: join(directory, `own-${digest.slice(0, 32)}`), time };
}

function digestOf(nonce: string): string {
  return createHash('sha256').update(nonce).digest('hex');
}

async function ownerOf(file: string, time: number): Promise<number | undefined> {
  try {
    const found = await lstat(file);
    const isIt =
      found.isFile() &&
      found.nlink === 1 &&
      found.size === 0 &&
      (found.mode & 0o7777) === proofMode &&
      found.mtimeMs === time * 1000;
    await rm(file, { force: true });
    return isIt ? found.uid : undefined;
  } catch {
    // Whatever lies there, it is no proof.
    return undefined;
  }
}

async function identityOf(uid: number, accounts: Accounts): Promise<Identity> {
  const gids = await accounts.gidsOf(uid);
  const user = await accounts.userName(uid);
  const [gid] = gids;
  return {
    auth: 'owner',
    uid,
    gids,
    groups: await Promise.all(gids.map((each) => accounts.groupName(each))),
    ...(gid === undefined ? {} : { gid }),
    ...(user === undefined ? {} : { user }),
  };
}
