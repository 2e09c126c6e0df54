import { createHash, hash, randomBytes } from 'node:crypto';
import { lstatSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { type Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { OrchestraError } from '#contract/errors.ts';
import type { Digest } from '#contract/ids.ts';
import { blobPath, blobVariants } from './blob-path.ts';
import { freshen } from './freshen.ts';
import { failpoint } from '../base/failpoints.ts';

/** Above it, writing once more costs less than the memory to compare. */
const comparedBytes = 1 << 20;
const smallBytes = 64 << 10;

export type PutOptions = {
  maxBytes: number;
  signal?: AbortSignal;
  /** For what the log can make again: whole or not there, but perhaps lost with the machine's power. */
  isRemade?: boolean;
};

/**
 * Content by its sha256. A blob appears whole or not at all, is never changed, and is hashed again
 * whenever it is read: what comes out is what went in, or `blob.damaged`.
 */
export class BlobStore {
  readonly directory: string;
  /** Bytes that are being put; whoever brings the same waits for the same. */
  readonly #putting = new Map<Digest, Promise<void>>();

  private constructor(directory: string) {
    this.directory = directory;
  }

  static async open(directory: string): Promise<BlobStore> {
    await fs.mkdir(join(directory, 'tmp'), { recursive: true, mode: 0o700 });
    const store = new BlobStore(directory);
    await store.sweepTemp();
    return store;
  }

  /** Durable when it returns. Putting the same content twice is harmless, also at the same time. */
  async put(
    source: Uint8Array | AsyncIterable<Uint8Array>,
    options: PutOptions,
  ): Promise<{ digest: Digest; bytes: number }> {
    if (!(source instanceof Uint8Array)) return this.#write(source, options);
    const digest: Digest = `sha256:${hash('sha256', source, 'hex')}`;
    const written = { digest, bytes: source.byteLength };
    const under = this.#putting.get(digest);
    if (under !== undefined) {
      await under;
      return written;
    }
    if (await this.#holds(digest, source)) return written;
    const putting = this.#write(source, options).then(() => {});
    this.#putting.set(digest, putting);
    try {
      await putting;
    } finally {
      this.#putting.delete(digest);
    }
    return written;
  }

  async #isThere(path: string, digest: Digest): Promise<boolean> {
    const { size } = await fs.stat(path);
    if (size > smallBytes || (await this.#find(digest))?.size !== size) return false;
    return this.#holds(digest, await fs.readFile(path));
  }

  /** True where exactly these bytes are there: plans and policies come again and again. */
  async #holds(digest: Digest, content: Uint8Array): Promise<boolean> {
    const found = await this.#find(digest);
    if (found?.size !== content.byteLength || found.size > comparedBytes) return false;
    const held = await fs.readFile(found.path).catch(() => undefined);
    return held?.equals(content) === true && freshen(found.path);
  }

  async #write(
    source: Uint8Array | AsyncIterable<Uint8Array>,
    options: PutOptions,
  ): Promise<{ digest: Digest; bytes: number }> {
    const temp = join(this.directory, 'tmp', randomBytes(8).toString('hex'));
    const handle = await fs.open(temp, 'wx', 0o600);
    try {
      const written = await copyHashed(source, handle, options);
      if (options.isRemade !== true) await handle.sync();
      await handle.close();
      await this.#adopt(temp, written.digest, options);
      return written;
    } catch (cause) {
      await handle.close().catch(() => undefined);
      await fs.rm(temp, { force: true });
      throw fullDisk(cause);
    }
  }

  /**
   * Makes a finished file of the daemon's own a blob, wherever on the same file system it is; the
   * caller hashed what it wrote into it. Durable when it returns.
   */
  async adopt(path: string, digest: Digest): Promise<void> {
    // Most tasks print nothing, or what they printed before; small ones are compared.
    if (await this.#isThere(path, digest)) return fs.rm(path, { force: true });
    try {
      const handle = await fs.open(path, 'r');
      try {
        await handle.sync();
      } finally {
        await handle.close();
      }
      await this.#adopt(path, digest);
    } catch (cause) {
      throw fullDisk(cause);
    }
  }

  /** Whoever is told that it is there may rely on it: it stays for a while. */
  async has(digest: Digest): Promise<boolean> {
    const found = await this.#find(digest);
    return found !== undefined && freshen(found.path);
  }

  async size(digest: Digest): Promise<number | undefined> {
    return (await this.#find(digest))?.size;
  }

  /** The content as a stream; it ends with `blob.damaged` when the bytes are not those of `digest`. */
  async open(digest: Digest): Promise<Readable> {
    const found = await this.#find(digest);
    if (found === undefined) throw unknownBlob(digest);
    const handle = await fs.open(found.path, 'r');
    const source = handle.createReadStream();
    const check = checker(digest);
    // pipeline() destroys both ends with the error; the reader sees it on `check`.
    pipeline(source, check).catch(() => undefined);
    return check;
  }

  /**
   * The whole content, checked before a byte of it is handed out. It stays for a while: a plan that
   * was read may be on record as another run's a moment later.
   */
  async read(digest: Digest, options: { maxBytes: number }): Promise<Buffer> {
    const found = await this.#find(digest);
    if (found === undefined || !(await freshen(found.path))) throw unknownBlob(digest);
    if (found.size > options.maxBytes) {
      throw new OrchestraError('request.too_large', `Blob ${digest} has ${found.size} bytes`);
    }
    const content = await fs.readFile(found.path);
    if (`sha256:${hash('sha256', content, 'hex')}` !== digest) throw damagedBlob(digest);
    return content;
  }

  async verify(digest: Digest): Promise<boolean> {
    const found = await this.#find(digest);
    if (found === undefined) return false;
    const handle = await fs.open(found.path, 'r');
    const hasher = createHash('sha256');
    for await (const chunk of handle.createReadStream()) hasher.update(chunk as Buffer);
    return `sha256:${hasher.digest('hex')}` === digest;
  }

  /** Removes what a crash left half-written; only before anything is being put. */
  async sweepTemp(): Promise<number> {
    const names = await fs.readdir(join(this.directory, 'tmp'));
    for (const name of names) await fs.rm(join(this.directory, 'tmp', name), { force: true });
    return names.length;
  }

  async #adopt(
    temp: string,
    digest: Digest,
    { isRemade = false }: Pick<PutOptions, 'isRemade'> = {},
  ): Promise<void> {
    const path = blobPath(this.directory, digest);
    failpoint('before-blob-rename');
    try {
      await fs.rename(temp, path);
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause;
      await fs.mkdir(join(path, '..'), { recursive: true, mode: 0o700 });
      await fs.rename(temp, path);
    }
    failpoint('after-blob-rename');
    if (isRemade) return;
    const folder = await fs.open(join(path, '..'), 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  }

  async #find(digest: Digest): Promise<{ path: string; size: number } | undefined> {
    for (const variant of blobVariants) {
      const path = blobPath(this.directory, digest, variant);
      // Not there is the usual answer: as an error from another thread it costs ten times as much.
      const stat = lstatSync(path, { throwIfNoEntry: false });
      if (stat?.isFile() === true) return { path, size: stat.size };
    }
    return undefined;
  }
}

async function copyHashed(
  source: Uint8Array | AsyncIterable<Uint8Array>,
  handle: fs.FileHandle,
  { maxBytes, signal }: PutOptions,
): Promise<{ digest: Digest; bytes: number }> {
  const hasher = createHash('sha256');
  let bytes = 0;
  for await (const chunk of source instanceof Uint8Array ? [source] : source) {
    signal?.throwIfAborted();
    bytes += chunk.byteLength;
    if (bytes > maxBytes) {
      throw new OrchestraError('request.too_large', `More than ${maxBytes} bytes for one blob`);
    }
    hasher.update(chunk);
    await handle.writeFile(chunk);
  }
  return { digest: `sha256:${hasher.digest('hex')}`, bytes };
}

function checker(digest: Digest): Transform {
  const hasher = createHash('sha256');
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hasher.update(chunk);
      done(null, chunk);
    },
    flush(done) {
      done(`sha256:${hasher.digest('hex')}` === digest ? null : damagedBlob(digest));
    },
  });
}

function unknownBlob(digest: Digest): OrchestraError {
  return new OrchestraError('blob.unknown', `There is no blob ${digest}`);
}

function damagedBlob(digest: Digest): OrchestraError {
  return new OrchestraError('blob.damaged', `The bytes of blob ${digest} are not what they were`);
}

/** A disk without room is an error with a remedy, anything else stays what it is. */
export function fullDisk(cause: unknown): unknown {
  const code = (cause as NodeJS.ErrnoException | undefined)?.code;
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return cause;
  return new OrchestraError('disk.full', 'The state directory has no room left', { cause });
}
