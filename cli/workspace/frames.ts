import * as fs from 'node:fs';
import { OrchestraError } from '#contract/errors.ts';
import type { UploadHeader } from '#contract/snapshot.ts';
import { hostPath, sameStamp, type Stamp, stampOf, type Walk, type WalkedFile } from './walk.ts';

export type Sent = { path: string; stamp: Stamp };
export type FramesOptions = {
  workspace: string;
  walked: Walk;
  /** Digests by path; the other files are sent without one. */
  known: ReadonlyMap<string, string>;
  /** Digests whose content the daemon lacks. */
  missing: ReadonlySet<string>;
  /** Filled with the files whose content went out, as they looked. */
  sent: Sent[];
};

const blockBytes = 256 << 10;

/**
 * The upload of `contract/snapshot.ts` in blocks. A block's memory is used again for the next but one:
 * fresh memory for each costs more than reading the files.
 */
export async function* frames(options: FramesOptions): AsyncGenerator<Uint8Array, void> {
  // A `yield*` in here would wait for each of the files, not for each of the blocks.
  for (const block of blocks(options)) yield block;
}

function* blocks(options: FramesOptions): Generator<Uint8Array, void> {
  const root = Buffer.from(options.workspace).toString('latin1');
  const out = new Blocks();
  for (const entry of options.walked.entries) {
    if (entry.type !== 'file') {
      yield* out.add(headerOf(entry));
      continue;
    }
    const { path, executable, stamp } = entry;
    const digest = options.known.get(path);
    if (digest !== undefined && !options.missing.has(digest)) {
      const bytes = stamp.size;
      yield* out.add(headerOf({ type: 'file', path, executable, bytes, digest, content: false }));
    } else yield* content(root, entry, digest, options, out);
  }
  yield* out.add(headerOf({ type: 'end', entries: options.walked.entries.length }));
  yield* out.rest();
}

function* content(
  root: string,
  entry: WalkedFile,
  digest: string | undefined,
  { sent }: FramesOptions,
  out: Blocks,
): Generator<Uint8Array, void> {
  const { path } = entry;
  const fd = openFile(root, entry);
  try {
    const stat = fs.fstatSync(fd, { bigint: true });
    const stamp = stampOf(stat);
    const executable = (stat.mode & 0o100n) !== 0n;
    // Between the walk and now a file may have become another one; with a digest promised, it must not.
    if (!stat.isFile() || (digest !== undefined && !sameStamp(stamp, entry.stamp))) {
      throw changed(path);
    }
    const claim = digest === undefined ? {} : { digest };
    const bytes = stamp.size;
    yield* out.add(headerOf({ type: 'file', path, executable, bytes, ...claim, content: true }));
    for (let left = bytes; left > 0;) {
      const room = out.room();
      const got = fs.readSync(fd, room, 0, Math.min(left, room.length), null);
      if (got === 0) throw changed(path);
      left -= got;
      yield* out.used(got);
    }
    if (!sameStamp(stampOf(fs.fstatSync(fd, { bigint: true })), stamp)) throw changed(path);
    sent.push({ path, stamp });
  } finally {
    fs.closeSync(fd);
  }
}

function openFile(root: string, { bytes, path }: WalkedFile): number {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = fs.constants;
  try {
    return fs.openSync(hostPath(`${root}/${bytes}`), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ELOOP' || code === 'ENOTDIR') throw changed(path);
    throw new OrchestraError('workspace.invalid', `${path} cannot be read (${code ?? 'unknown'})`, {
      cause,
      hint: 'make it readable or name it in .orchestraignore',
    });
  }
}

function changed(path: string): OrchestraError {
  return new OrchestraError('workspace.changed', `${path} changed while it was being read`, {
    hint: 'stop what writes there, or name it in .orchestraignore',
  });
}

function headerOf(header: UploadHeader): Buffer {
  return Buffer.from(`${JSON.stringify(header)}\n`);
}

/** Gathers small pieces, so that ten thousand files are not twenty thousand writes. */
class Blocks {
  #block = Buffer.allocUnsafeSlow(blockBytes);
  #other = Buffer.allocUnsafeSlow(blockBytes);
  #used = 0;

  *add(piece: Uint8Array): Generator<Uint8Array, void> {
    for (let at = 0; at < piece.length;) {
      const part = piece.subarray(at, at + this.room().length);
      this.#block.set(part, this.#used);
      at += part.length;
      yield* this.used(part.length);
    }
  }

  /** Never empty: a full block was handed out at once. */
  room(): Buffer {
    return this.#block.subarray(this.#used);
  }

  *used(count: number): Generator<Uint8Array, void> {
    this.#used += count;
    if (this.#used < blockBytes) return;
    yield this.#block;
    [this.#block, this.#other] = [this.#other, this.#block];
    this.#used = 0;
  }

  *rest(): Generator<Uint8Array, void> {
    if (this.#used > 0) yield this.#block.subarray(0, this.#used);
    this.#used = 0;
  }
}
