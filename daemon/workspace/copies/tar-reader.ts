import {
  badTar,
  blockBytes,
  padding,
  parseHeader,
  parseRecords,
  type TarEntry,
} from './tar-header.ts';

export type TarEvents = {
  entry(entry: TarEntry): void;
  /** Of the last entry, in order, until it has had `size` of them. Not kept by the caller. */
  content(bytes: Buffer): void;
  /** The last entry has all its content. */
  done(): void;
};

/** Of names and their like: more is no path that a kernel takes. */
const metaBytesMax = 64 * 1024;

/** Reads a tar stream as it comes. Nothing of it is believed: what is not tar is refused. */
export class TarReader {
  readonly #events: TarEvents;
  readonly #block = Buffer.alloc(blockBytes);
  #filled = 0;
  #state: 'header' | 'content' | 'meta' | 'padding' | 'ended' = 'header';
  #left = 0;
  #pad = 0;
  #meta: { kind: 'pax' | 'long name' | 'long target'; bytes: Buffer; filled: number } | undefined;
  #said: Partial<TarEntry> = {};

  constructor(events: TarEvents) {
    this.#events = events;
  }

  take(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#state === 'ended') return;
      at += this.#step(chunk.subarray(at));
    }
  }

  /** Throws where the stream did not come to its end. */
  end(): void {
    if (this.#state !== 'ended') throw badTar('its end cut off');
  }

  /** How much of it was used. */
  #step(bytes: Buffer): number {
    if (this.#state === 'header') {
      const used = bytes.copy(this.#block, this.#filled);
      this.#filled += used;
      if (this.#filled === blockBytes) this.#header();
      return used;
    }
    const used = Math.min(bytes.length, this.#left);
    const part = bytes.subarray(0, used);
    this.#left -= used;
    if (this.#state === 'content') this.#events.content(part);
    else if (this.#meta !== undefined && this.#state === 'meta') {
      this.#meta.filled += part.copy(this.#meta.bytes, this.#meta.filled);
    }
    if (this.#left === 0) this.#after();
    return used;
  }

  #header(): void {
    this.#filled = 0;
    const parsed = parseHeader(this.#block);
    if (parsed.kind === 'end') {
      this.#state = 'ended';
      return;
    }
    if (!('name' in parsed)) {
      if (parsed.size > metaBytesMax) throw badTar('a name that is too long');
      const { kind, size } = parsed;
      this.#meta = { kind, bytes: Buffer.alloc(size), filled: 0 };
      this.#begin('meta', size);
      return;
    }
    const { name = parsed.name, target = parsed.target, size = parsed.size } = this.#said;
    const entry = { ...parsed, name, target, size: parsed.kind === 'file' ? size : 0 };
    this.#said = {};
    if (entry.name.includes('\0') || entry.target.includes('\0')) throw badTar('a NUL in a name');
    this.#events.entry(entry);
    this.#begin('content', entry.size);
  }

  #begin(state: 'content' | 'meta', size: number): void {
    this.#state = state;
    this.#left = size;
    this.#pad = padding(size);
    if (size === 0) this.#after();
  }

  #after(): void {
    if (this.#state === 'content') this.#events.done();
    if (this.#state === 'meta') this.#keepMeta();
    if (this.#state !== 'padding' && this.#pad > 0) {
      this.#state = 'padding';
      this.#left = this.#pad;
    } else this.#state = 'header';
  }

  #keepMeta(): void {
    const { kind, bytes } = this.#meta ?? { kind: 'pax', bytes: Buffer.alloc(0) };
    this.#meta = undefined;
    if (kind === 'pax') Object.assign(this.#said, parseRecords(bytes));
    else {
      const name = bytes.toString('latin1').replace(/\0[^]*$/, '');
      this.#said = { ...this.#said, [kind === 'long name' ? 'name' : 'target']: name };
    }
  }
}
