import { createHash, type Hash, hash } from 'node:crypto';
import * as fs from 'node:fs';
import { join } from 'node:path';
import type { Digest } from '#contract/ids.ts';
import { type ByteString, bytesOfText, staysInside } from '#contract/path-bytes.ts';
import type { LeftOut, SnapshotAnswer, TreeEntry, UploadHeader } from '#contract/snapshot.ts';
import { isUploadHeader, uploadHeaderBytesMax } from '#contract/upload-header.ts';
import { freshenSync } from '../artifacts/freshen.ts';
import type { Batch } from './batches.ts';
import { malformed, tooLarge } from './refusals.ts';
import { treeDigest } from './manifest.ts';
import type { Place } from './operations.ts';
import { snapshotDir } from './places.ts';
import { removeTree } from './remove.ts';
import type { FileStep, Step } from './tree-steps.ts';

type FileHeader = Extract<UploadHeader, { type: 'file' }>;
type Open = { header: FileHeader; left: number; hasher: Hash | undefined; step: FileStep };

/**
 * One upload, batch by batch: what comes is checked and hashed here and written elsewhere, by the
 * steps that are handed out. The tree grows in `tmp/` and is renamed when complete.
 */
export class Ingest {
  readonly #place: Place;
  readonly #temp: string;
  readonly #kinds = new Map<ByteString, 'dir' | 'other'>();
  readonly #entries: TreeEntry[] = [];
  readonly #digests: Digest[] = [];
  readonly #leftOut: LeftOut[] = [];
  readonly #links: Step[] = [];
  #steps: Step[] = [];
  #rest: Buffer = Buffer.alloc(0);
  #open: Open | undefined;
  #bytes = 0;
  #files = 0;
  #ended = false;

  /** `temp` is a directory beside the snapshots that is not there yet. */
  constructor(place: Place, temp: string) {
    this.#place = place;
    this.#temp = temp;
    fs.mkdirSync(join(this.#temp, 'tree'), { recursive: true, mode: 0o755 });
  }

  /** Keeps no reference to the batch. */
  take(batch: Batch): Step[] {
    for (const [index, input] of batch.entries()) this.#chunk(index, input);
    // The rest of it comes with the next batch.
    if (this.#open !== undefined) {
      this.#steps.push(this.#open.step);
      this.#open.step = { ...this.#open.step, first: false, places: [] };
    }
    return this.#handOut();
  }

  /**
   * Everything has come. Returns the last steps; links are among them and nothing else, because
   * after them a path could lead through one.
   */
  close(): Step[] {
    if (!this.#ended) throw malformed('it was cut off');
    this.#steps.push(...this.#links);
    return this.#handOut();
  }

  /** What is known before the tree is written to its end. Only after `close`. */
  describe(): SnapshotAnswer {
    const digest = treeDigest(this.#entries);
    const info = { digest, files: this.#files, bytes: this.#bytes };
    fs.writeFileSync(join(this.#temp, 'manifest.json'), JSON.stringify(this.#entries));
    fs.writeFileSync(join(this.#temp, 'info.json'), JSON.stringify(info));
    return { ...info, digests: this.#digests, leftOut: this.#leftOut };
  }

  /** Makes it a snapshot. Only when every step has been done. */
  settle({ digest }: SnapshotAnswer): void {
    const place = snapshotDir(this.#place.stateDir, digest);
    try {
      fs.renameSync(this.#temp, place);
    } catch (cause) {
      const code = (cause as NodeJS.ErrnoException).code;
      if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw cause;
      if (freshenSync(place)) removeTree(this.#temp);
      // It was pruned in between.
      else fs.renameSync(this.#temp, place);
    }
  }

  /** Leaves nothing behind. May be called in any state, but not while a step is being done. */
  abort(): void {
    removeTree(this.#temp);
  }

  #handOut(): Step[] {
    const steps = this.#steps;
    this.#steps = [];
    return steps;
  }

  #chunk(index: number, input: Uint8Array): void {
    let at = 0;
    // A file without bytes is complete when it is named.
    while (at < input.byteLength) {
      if (this.#ended) throw malformed('bytes after the end');
      at =
        this.#open === undefined
          ? this.#line(input, at)
          : this.#content(this.#open, { index, input, at });
    }
  }

  /** Returns where what comes after it begins. */
  #line(input: Uint8Array, at: number): number {
    const found = input.indexOf(10, at);
    const end = found < 0 ? input.byteLength : found;
    if (this.#rest.length + end - at > uploadHeaderBytesMax) {
      throw malformed('a frame header is too long');
    }
    const part = Buffer.from(input.buffer, input.byteOffset + at, end - at);
    if (found < 0) {
      this.#rest = Buffer.concat([this.#rest, part]);
      return end;
    }
    const line = this.#rest.length === 0 ? part : Buffer.concat([this.#rest, part]);
    this.#rest = Buffer.alloc(0);
    this.#frame(parseHeader(line));
    return end + 1;
  }

  #frame(header: UploadHeader): void {
    if (header.type === 'end') {
      const sent = this.#entries.length + this.#leftOut.length;
      if (header.entries !== sent) throw malformed(`${sent} entries came, not ${header.entries}`);
      this.#ended = true;
      return;
    }
    const path = this.#admit(header);
    if (header.type === 'dir') {
      this.#steps.push({ kind: 'dir', path });
      this.#entries.push(header);
    } else if (header.type === 'symlink') this.#admitLink(path, header);
    else if (!header.content) this.#known(path, header);
    else {
      const { executable, bytes } = header;
      const step: FileStep = { kind: 'file', first: true, path, executable, places: [] };
      this.#open = { header, left: bytes, hasher: undefined, step };
      if (bytes === 0) this.#complete(this.#open, hash('sha256', '', 'hex'));
    }
  }

  /** The parent was made by this upload and is a directory, so a path never leads through a link. */
  #admit(header: Exclude<UploadHeader, { type: 'end' }>): ByteString {
    const { limits } = this.#place;
    const path = bytesOfText(header.path);
    const slash = path.lastIndexOf('/');
    if (slash >= 0 && this.#kinds.get(path.slice(0, slash)) !== 'dir') {
      throw malformed('an entry came before its directory', header.path);
    }
    if (this.#kinds.has(path)) throw malformed('a path came twice', header.path);
    if (path.length > limits.pathBytesMax || path.slice(slash + 1).length > 255) {
      throw tooLarge('A path is too long', header.path);
    }
    if (path.split('/').length > limits.depthMax) throw tooLarge('Too deep', header.path);
    if (this.#kinds.size >= limits.entriesMax) {
      throw tooLarge(`More than ${limits.entriesMax} entries`);
    }
    if (header.type === 'file') {
      this.#bytes += header.bytes;
      this.#files += 1;
      if (this.#bytes > limits.bytesMax) throw tooLarge(`More than ${limits.bytesMax} bytes`);
    }
    this.#kinds.set(path, header.type === 'dir' ? 'dir' : 'other');
    return path;
  }

  #admitLink(path: ByteString, header: Extract<UploadHeader, { type: 'symlink' }>): void {
    const target = bytesOfText(header.target);
    if (staysInside(path, target)) {
      this.#links.push({ kind: 'link', path, target });
      this.#entries.push(header);
    } else this.#leftOut.push({ path: header.path, reason: 'link leads out' });
  }

  #known(path: ByteString, header: FileHeader): void {
    const { digest, executable, bytes } = header;
    if (digest === undefined) throw malformed('a file without content and digest', header.path);
    this.#steps.push({ kind: 'known', path, executable, digest, bytes });
    this.#done(header, digest);
  }

  /** Returns where what comes after it begins. */
  #content(
    open: Open,
    { index, input, at }: { index: number; input: Uint8Array; at: number },
  ): number {
    const end = Math.min(input.byteLength, at + open.left);
    const part = input.subarray(at, end);
    open.step.places.push(index, at, end);
    open.left -= part.byteLength;
    // A file in one piece is hashed in one call, which is quicker.
    if (open.hasher === undefined && open.left === 0)
      this.#complete(open, hash('sha256', part, 'hex'));
    else {
      open.hasher = (open.hasher ?? createHash('sha256')).update(part);
      if (open.left === 0) this.#complete(open, open.hasher.digest('hex'));
    }
    return end;
  }

  #complete({ header, step }: Open, hex: string): void {
    this.#open = undefined;
    const digest: Digest = `sha256:${hex}`;
    this.#done(header, digest);
    this.#steps.push({ ...step, digest });
  }

  #done({ path, executable, bytes, digest: claimed }: FileHeader, digest: Digest): void {
    if (claimed === undefined) this.#digests.push(digest);
    else if (claimed !== digest) throw malformed('content does not fit its digest', path);
    this.#entries.push({ type: 'file', path, executable, bytes, digest });
  }
}

function parseHeader(line: Buffer): UploadHeader {
  let value: unknown;
  try {
    value = JSON.parse(utf8(line));
  } catch {
    throw malformed('a frame header is not JSON');
  }
  if (isUploadHeader(value)) return value;
  throw malformed('a frame header is wrong');
}

/** Bytes that are not UTF-8 are an error. */
function utf8(line: Buffer): string {
  const text = line.toString('latin1');
  // oxlint-disable-next-line no-control-regex -- the whole of ASCII is what is meant
  return /^[\0-\x7f]*$/.test(text) ? text : new TextDecoder('utf-8', { fatal: true }).decode(line);
}
