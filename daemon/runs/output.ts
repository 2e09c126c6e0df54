import { once, EventEmitter } from 'node:events';
import { mkdir, open, rm, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { OutputChunk } from '#contract/output.ts';

/**
 * What one attempt writes, as lines of JSON in a file that may be followed while it grows. A
 * chunk is on its way to the file before the next is taken, so a slow disk slows the task, not the
 * daemon's memory.
 */
export class OutputFile {
  readonly path: string;
  readonly #handle: FileHandle;
  readonly #grown = new EventEmitter();
  readonly #startedAt = performance.now();
  #size = 0;
  #closed = false;

  private constructor(path: string, handle: FileHandle) {
    this.path = path;
    this.#handle = handle;
    this.#grown.setMaxListeners(0);
  }

  static async create(path: string): Promise<OutputFile> {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    return new OutputFile(path, await open(path, 'w+', 0o600));
  }

  async write(stream: 1 | 2, bytes: Uint8Array): Promise<void> {
    const line = Buffer.from(`${JSON.stringify(this.#chunk(stream, bytes))}\n`);
    await this.#handle.write(line, 0, line.length, this.#size);
    this.#size += line.length;
    this.#grown.emit('grown');
  }

  /** Lines so far, then those to come; ends when the attempt has ended or the signal aborts. */
  async *follow(signal: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
    const reader = await open(this.path, 'r');
    try {
      let at = 0;
      while (!signal.aborted) {
        for await (const part of readTo(reader, at, this.#size)) {
          at += part.length;
          yield part;
        }
        if (at < this.#size) continue;
        if (this.#closed) return;
        await once(this.#grown, 'grown', { signal }).catch(() => undefined);
      }
    } finally {
      await reader.close();
    }
  }

  /** The lines that are there now: after `close`, all of them. */
  async *soFar(): AsyncGenerator<Buffer, void, undefined> {
    const reader = await open(this.path, 'r');
    try {
      yield* readTo(reader, 0, this.#size);
    } finally {
      await reader.close();
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#grown.emit('grown');
    await this.#handle.close();
  }

  async remove(): Promise<void> {
    await this.close();
    await rm(this.path, { force: true });
  }

  #chunk(stream: 1 | 2, bytes: Uint8Array): OutputChunk {
    const t = Math.round(performance.now() - this.#startedAt);
    const text = Buffer.from(bytes).toString('utf8');
    // A character cut in two, or no text at all: the exact bytes matter more than how they look.
    const isExact = Buffer.compare(Buffer.from(text), bytes) === 0;
    return isExact
      ? { t, s: stream, d: text }
      : { t, s: stream, b: Buffer.from(bytes).toString('base64') };
  }
}

async function* readTo(
  reader: FileHandle,
  from: number,
  to: number,
): AsyncGenerator<Buffer, void, undefined> {
  for (let at = from; at < to;) {
    const part = Buffer.alloc(Math.min(to - at, 256 * 1024));
    const { bytesRead } = await reader.read(part, 0, part.length, at);
    if (bytesRead === 0) return;
    at += bytesRead;
    yield part.subarray(0, bytesRead);
  }
}
