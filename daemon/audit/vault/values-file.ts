import { constants } from 'node:fs';
import { rename, rm, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import { OrchestraError } from '#contract/errors.ts';
import { absent, openOwn, syncFolder } from './files.ts';
import type { Sealed } from './seal.ts';

const Line = z.strictObject({
  c: z.string().regex(/^[0-9a-f]{64}$/),
  n: z.string().max(32),
  e: z.string().max(lineBytes()),
});

type Place = { offset: number; length: number };
type Waiting = { line: string; commitment: string; done: PromiseWithResolvers<void> };

/**
 * The sealed values of one subject, a line each, appended and never changed. Whoever waits shares
 * the sync of the others that wait. A line that was torn by a crash belongs to no record.
 */
export class ValuesFile {
  readonly #path: string;
  #waiting: Waiting[] = [];
  #writing: Promise<void> = Promise.resolve();
  #isWriting = false;
  #file: FileHandle | undefined;
  #size = 0;
  #failure: OrchestraError | undefined;
  #places: Promise<Map<string, Place>> | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  /** Durable when it resolves. After the first failure nothing is taken any more. */
  async append(sealed: Sealed): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    const done = Promise.withResolvers<void>();
    this.#waiting.push({
      line: `${JSON.stringify(sealed)}\n`,
      commitment: sealed.c,
      done,
    });
    if (!this.#isWriting) {
      this.#isWriting = true;
      this.#writing = this.#writeAll();
    }
    return done.promise;
  }

  /** Nothing where there is no such value. */
  async find(commitment: string): Promise<Sealed | undefined> {
    const places = await (this.#places ??= this.#look());
    const place = places.get(commitment);
    if (place === undefined) return undefined;
    await using file = await openOwn(this.#path, constants.O_RDONLY);
    const bytes = Buffer.allocUnsafe(place.length);
    await file.read(bytes, 0, place.length, place.offset);
    return parse(bytes.toString('utf8'));
  }

  /** The first value there is. */
  async first(): Promise<Sealed | undefined> {
    const file = await openOwn(this.#path, constants.O_RDONLY).catch(absent);
    if (file === undefined) return undefined;
    await using handle = file;
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(lineBytes()), 0, lineBytes(), 0);
    const end = buffer.subarray(0, bytesRead).indexOf(10);
    return end === -1 ? undefined : parse(buffer.subarray(0, end).toString('utf8'));
  }

  /**
   * Leaves out what `isKept` does not name, whole or not at all; the first value stays. To be called
   * before anything is appended. Answers how many went.
   */
  async sweep(isKept: (commitment: string) => boolean): Promise<number> {
    const places = await this.#look();
    const [first] = places.keys();
    const gone = new Set([...places.keys()].filter((each) => each !== first && !isKept(each)));
    if (gone.size === 0) return 0;
    const beside = `${this.#path}.new`;
    await rm(beside, { force: true });
    {
      await using from = await openOwn(this.#path, constants.O_RDONLY);
      await using to = await openOwn(beside, constants.O_WRONLY | constants.O_CREAT);
      for (const [commitment, { offset, length }] of places) {
        if (gone.has(commitment)) continue;
        const line = Buffer.alloc(length + 1, '\n');
        await from.read(line, 0, length, offset);
        await to.writeFile(line);
      }
      await to.sync();
    }
    await rename(beside, this.#path);
    await syncFolder(dirname(this.#path));
    this.#places = undefined;
    return gone.size;
  }

  async close(): Promise<void> {
    await this.#writing;
    await this.#file?.close();
    this.#file = undefined;
    this.#places = undefined;
  }

  /** Nothing is read or taken any more: what it held is erased. */
  async end(reason: OrchestraError): Promise<void> {
    this.#failure ??= reason;
    await this.close();
  }

  async #writeAll(): Promise<void> {
    for (let batch = this.#take(); batch.length > 0; batch = this.#take()) {
      try {
        const places = await this.#write(batch.map(({ line }) => line));
        const known = await this.#places;
        for (const [at, { commitment, done }] of batch.entries()) {
          const place = places[at];
          if (place !== undefined) known?.set(commitment, place);
          done.resolve();
        }
      } catch (cause) {
        // The kernel may have dropped what it could not write, so a second try could lie.
        const failure = new OrchestraError('audit.unavailable', 'The vault could not be written', {
          hint: 'look at the disk of the state directory, then start the daemon again',
          cause,
        });
        this.#failure ??= failure;
        for (const { done } of batch) done.reject(failure);
        for (const { done } of this.#take()) done.reject(failure);
      }
    }
    this.#isWriting = false;
  }

  #take(): Waiting[] {
    return this.#waiting.splice(0);
  }

  async #write(lines: readonly string[]): Promise<Place[]> {
    const file = (this.#file ??= await this.#open());
    const places: Place[] = [];
    for (const line of lines) {
      const length = Buffer.byteLength(line);
      places.push({ offset: this.#size, length: length - 1 });
      this.#size += length;
    }
    await file.appendFile(lines.join(''));
    await file.datasync();
    return places;
  }

  /** Ends a line that a crash left open, so that the next one stands by itself. */
  async #open(): Promise<FileHandle> {
    const flags = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT;
    const file = await openOwn(this.#path, flags);
    const { size } = await file.stat();
    this.#size = size;
    if (size === 0) return file;
    const last = Buffer.alloc(1);
    await file.read(last, 0, 1, size - 1);
    if (last[0] !== 10) {
      await file.appendFile('\n');
      this.#size += 1;
    }
    return file;
  }

  /** Where each value lies. What is appended meanwhile is found too, or noted by whoever appends. */
  async #look(): Promise<Map<string, Place>> {
    const places = new Map<string, Place>();
    const file = await openOwn(this.#path, constants.O_RDONLY).catch(absent);
    if (file === undefined) return places;
    await using handle = file;
    let rest = Buffer.alloc(0);
    let offset = 0;
    for await (const chunk of handle.createReadStream({ autoClose: false })) {
      let bytes = Buffer.concat([rest, chunk as Buffer]);
      for (let end = bytes.indexOf(10); end !== -1; end = bytes.indexOf(10)) {
        const commitment = /^\{"c":"([0-9a-f]{64})"/.exec(bytes.toString('latin1', 0, 80))?.[1];
        if (commitment !== undefined && end <= lineBytes()) {
          places.set(commitment, { offset, length: end });
        }
        offset += end + 1;
        bytes = bytes.subarray(end + 1);
      }
      // What has no end is not kept whole, however long it is.
      const keep = Math.min(bytes.length, lineBytes() + 1);
      offset += bytes.length - keep;
      rest = Buffer.from(bytes.subarray(bytes.length - keep));
    }
    return places;
  }
}

function parse(text: string): Sealed | undefined {
  try {
    return Line.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** Of the longest line, by far. */
function lineBytes(): number {
  return 64 * 1024;
}
