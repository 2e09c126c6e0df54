import { createHash } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { mkdir, open, rm, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Digest } from '#contract/ids.ts';
import { type BlobStore, fullDisk } from '../artifacts/blobs.ts';
import type { OutputSink } from '../sandbox/output.ts';
import { OutputBatch } from './output-batch.ts';

/** As much as a batch holds when output comes fast. */
const smallBytes = 16 * 1024;
const readBytes = 256 * 1024;

/**
 * What one attempt writes, in a file that may be followed while it grows and that becomes a blob
 * without being read again. One batch may be on its way to the file while another fills; who comes
 * then has to wait, so a slow disk slows the task, not the daemon's memory. Followers read the
 * file, each at its own pace, and the task does not notice them.
 */
export class OutputFile implements OutputSink, AsyncDisposable {
  readonly path: string;
  readonly #handle: FileHandle;
  readonly #grown = new EventEmitter();
  readonly #hasher = createHash('sha256');
  readonly #startedAt = performance.now();
  #filling = OutputBatch.first();
  #spare = new OutputBatch();
  #writing: Promise<void> | undefined;
  #failure: unknown;
  #size = 0;
  #closed = false;
  /** The file stays open for whoever reads it, also when it has gone from its place. */
  #users = 1;
  #disposed = false;
  #kept: Promise<Digest> | undefined;

  private constructor(path: string, handle: FileHandle) {
    this.path = path;
    this.#handle = handle;
    this.#grown.setMaxListeners(0);
  }

  static async create(path: string): Promise<OutputFile> {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    return new OutputFile(path, await open(path, 'w+', 0o600));
  }

  /** The bytes are copied before this answers or its promise is settled. */
  write(stream: 0 | 1 | 2, bytes: Uint8Array): Promise<void> | void {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (bytes.length === 0) return;
    const t = Math.round(performance.now() - this.#startedAt);
    const taken = this.#filling.take(t, stream, bytes);
    this.#writing ??= this.#writeAll();
    if (taken < bytes.length) return this.#writeRest(t, stream, bytes.subarray(taken));
  }

  /**
   * The file so far, then what comes to it; ends when the attempt has ended or the signal aborts.
   * A block is the reader's until it asks for the next but one, so one may be on its way to a
   * socket while the next is read.
   */
  follow(signal: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
    return this.#read(signal);
  }

  /** The file as it is now: after `close`, all of it. */
  soFar(): AsyncGenerator<Buffer, void, undefined> {
    return this.#read(AbortSignal.abort());
  }

  /** Everything that was taken so far is in the file. */
  get isIdle(): boolean {
    return this.#writing === undefined;
  }

  /** Everything taken is in the file then, and nothing more is. Rejects where it could not be. */
  async close(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
    if (!this.#closed) {
      this.#closed = true;
      this.#grown.emit('grown');
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Closes it and makes the file itself the blob. Whoever follows reads on. */
  async keep(blobs: Pick<BlobStore, 'adopt'>): Promise<Digest> {
    this.#kept ??= (async () => {
      await this.close();
      const digest: Digest = `sha256:${this.#hasher.digest('hex')}`;
      await blobs.adopt(this.path, digest);
      return digest;
    })();
    return this.#kept;
  }

  async remove(): Promise<void> {
    await this[Symbol.asyncDispose]();
    await rm(this.path, { force: true });
  }

  /** Nobody begins to follow it any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close().catch(() => undefined);
    if (this.#disposed) return;
    this.#disposed = true;
    await this.#release();
  }

  async #writeRest(t: number, stream: 0 | 1 | 2, bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      await this.#writing;
      if (this.#failure !== undefined) throw this.#failure;
      at += this.#filling.take(t, stream, bytes.subarray(at));
      this.#writing ??= this.#writeAll();
    }
  }

  /** One batch; begins a moment later, so that what arrives together is written together. */
  async #writeAll(): Promise<void> {
    await new Promise(setImmediate);
    const batch = this.#filling;
    this.#filling = this.#spare;
    this.#spare = batch;
    try {
      const { bytes } = batch;
      const written = writeFully(this.#handle, bytes, this.#size);
      // While the kernel copies: what is hashed here need not be read again.
      this.#hasher.update(bytes);
      await written;
      this.#size += bytes.length;
      batch.clear();
      this.#writing = this.#filling.isEmpty ? undefined : this.#writeAll();
    } catch (cause) {
      this.#failure = fullDisk(cause);
      this.#writing = undefined;
    }
    this.#grown.emit('grown');
  }

  async *#read(signal: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
    if (this.#disposed) throw new Error('the output was put away');
    this.#users += 1;
    try {
      let block: Buffer | undefined;
      let other: Buffer | undefined;
      for (let at = 0; ;) {
        while (at < this.#size) {
          const wanted = Math.min(this.#size - at, readBytes);
          // Most outputs are short: no reader gets more memory than there is to read.
          if (block === undefined || block.length < wanted) {
            block = Buffer.allocUnsafeSlow(wanted <= smallBytes ? smallBytes : readBytes);
          }
          const { bytesRead } = await this.#handle.read(block, 0, wanted, at);
          if (bytesRead === 0) return;
          at += bytesRead;
          yield block.subarray(0, bytesRead);
          [block, other] = [other, block];
        }
        if (this.#closed || signal.aborted) return;
        await once(this.#grown, 'grown', { signal }).catch(() => undefined);
      }
    } finally {
      await this.#release();
    }
  }

  async #release(): Promise<void> {
    this.#users -= 1;
    if (this.#users === 0) await this.#handle.close();
  }
}

async function writeFully(handle: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    const { bytesWritten } = await handle.write(bytes, at, bytes.length - at, position + at);
    at += bytesWritten;
  }
}
