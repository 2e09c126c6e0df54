import { createHash, type Hash, hash } from 'node:crypto';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { OrchestraError } from '#contract/errors.ts';
import type { Digest } from '#contract/ids.ts';
import { type ByteString, bytesOfText, staysInside } from '#contract/path-bytes.ts';
import type { LeftOut, SnapshotAnswer, TreeEntry, UploadHeader } from '#contract/snapshot.ts';
import { isUploadHeader, uploadHeaderBytesMax } from '#contract/upload-header.ts';
import { malformed, tooLarge } from './refusals.ts';
import { linkBlob, TreeWriter } from './tree-writer.ts';
import { treeDigest } from './manifest.ts';
import type { Place } from './operations.ts';
import { snapshotDir } from './places.ts';
import { removeTree } from './remove.ts';

type FileHeader = Extract<UploadHeader, { type: 'file' }>;
type Whole = { header: FileHeader; have: number };
type Open = { header: FileHeader; fd: number; left: number; hasher: Hash };

const wholeMax = 4 << 20;

/**
 * One upload, chunk by chunk: a small file that is known is linked without being written, every
 * other one is hashed while it is written. The tree grows in `tmp/` and is renamed when complete.
 */
export class Ingest {
  readonly #place: Place;
  readonly #writer: TreeWriter;
  readonly #temp: string;
  readonly #kinds = new Map<ByteString, 'dir' | 'other'>();
  readonly #entries: TreeEntry[] = [];
  readonly #digests: Digest[] = [];
  readonly #leftOut: LeftOut[] = [];
  readonly #links: { path: ByteString; target: ByteString }[] = [];
  #rest: Buffer = Buffer.alloc(0);
  #open: Open | undefined;
  #whole: Whole | undefined;
  /** Holds the beginning of a small file whose end is in the next chunk. */
  #part = Buffer.allocUnsafeSlow(64 << 10);
  #bytes = 0;
  #files = 0;
  #ended = false;

  /** `temp` is a directory beside the snapshots that is not there yet. */
  constructor(place: Place, temp: string) {
    this.#place = place;
    this.#temp = temp;
    fs.mkdirSync(join(this.#temp, 'tree'), { recursive: true, mode: 0o755 });
    this.#writer = new TreeWriter(join(this.#temp, 'tree'), place);
  }

  /** Keeps no reference to `input`. */
  push(input: Uint8Array): void {
    let chunk = Buffer.from(input.buffer, input.byteOffset, input.byteLength);
    while (chunk.length > 0) {
      if (this.#ended) throw malformed('bytes after the end');
      if (this.#open !== undefined) chunk = this.#continue(this.#open, chunk);
      else if (this.#whole !== undefined) chunk = this.#gather(this.#whole, chunk);
      else chunk = this.#line(chunk);
    }
  }

  finish(): SnapshotAnswer {
    if (!this.#ended) throw malformed('it was cut off');
    for (const { path, target } of this.#links) this.#writer.link(path, target);
    const digest = treeDigest(this.#entries);
    const info = { digest, files: this.#files, bytes: this.#bytes };
    fs.writeFileSync(join(this.#temp, 'manifest.json'), JSON.stringify(this.#entries));
    fs.writeFileSync(join(this.#temp, 'info.json'), JSON.stringify(info));
    this.#settle(digest);
    return { ...info, digests: this.#digests, leftOut: this.#leftOut };
  }

  /** Leaves nothing behind. May be called in any state. */
  abort(): void {
    if (this.#open !== undefined) fs.closeSync(this.#open.fd);
    this.#open = undefined;
    removeTree(this.#temp);
  }

  #settle(digest: Digest): void {
    try {
      fs.renameSync(this.#temp, snapshotDir(this.#place.stateDir, digest));
    } catch (cause) {
      const code = (cause as NodeJS.ErrnoException).code;
      if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw cause;
      removeTree(this.#temp);
    }
  }

  #line(chunk: Buffer): Buffer {
    const end = chunk.indexOf(10);
    const length = this.#rest.length + (end < 0 ? chunk.length : end);
    if (length > uploadHeaderBytesMax) throw malformed('a frame header is too long');
    if (end < 0) {
      this.#rest = Buffer.concat([this.#rest, chunk]);
      return Buffer.alloc(0);
    }
    const head = chunk.subarray(0, end);
    const line = this.#rest.length === 0 ? head : Buffer.concat([this.#rest, head]);
    this.#rest = Buffer.alloc(0);
    this.#frame(parseHeader(line));
    return chunk.subarray(end + 1);
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
      this.#writer.dir(path);
      this.#entries.push(header);
    } else if (header.type === 'symlink') this.#admitLink(path, header);
    else if (!header.content) this.#known(path, header);
    else if (header.bytes > wholeMax) {
      this.#open = {
        header,
        fd: this.#writer.create(path, header.executable),
        left: header.bytes,
        hasher: createHash('sha256'),
      };
    } else {
      this.#whole = { header, have: 0 };
      if (header.bytes === 0) this.#gather(this.#whole, Buffer.alloc(0));
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
      this.#links.push({ path, target });
      this.#entries.push(header);
    } else this.#leftOut.push({ path: header.path, reason: 'link leads out' });
  }

  #known(path: ByteString, header: FileHeader): void {
    const { digest } = header;
    if (digest === undefined) throw malformed('a file without content and digest', header.path);
    const bytes = linkBlob(this.#writer, path, digest, header.executable);
    if (bytes === undefined) {
      throw new OrchestraError('blob.unknown', 'The upload names content that is not there', {
        places: [{ pointer: header.path, message: digest }],
        hint: 'send the content',
      });
    }
    if (bytes !== header.bytes) throw malformed('a size does not fit its digest', header.path);
    this.#done(header, digest);
  }

  #gather(whole: Whole, chunk: Buffer): Buffer {
    const { have } = whole;
    const { bytes } = whole.header;
    const last = chunk.subarray(0, bytes - have);
    if (have > 0 || last.length < bytes) {
      if (this.#part.length < bytes) this.#enlarge(bytes, have);
      this.#part.set(last, have);
      whole.have += last.length;
      if (whole.have < bytes) return Buffer.alloc(0);
    }
    this.#whole = undefined;
    const content = have > 0 ? this.#part.subarray(0, bytes) : last;
    const { header } = whole;
    const digest: Digest = `sha256:${hash('sha256', content, 'hex')}`;
    const path = bytesOfText(header.path);
    if (!this.#writer.linkExact(path, digest, header.executable)) {
      const fd = this.#writer.create(path, header.executable);
      try {
        writeAll(fd, content);
        this.#writer.settle(fd);
      } finally {
        fs.closeSync(fd);
      }
      this.#writer.adopt(path, digest, header.executable);
    }
    this.#done(header, digest);
    return chunk.subarray(last.length);
  }

  #enlarge(bytes: number, have: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.min(wholeMax, bytes * 2));
    larger.set(this.#part.subarray(0, have));
    this.#part = larger;
  }

  #continue(open: Open, chunk: Buffer): Buffer {
    const part = chunk.subarray(0, open.left);
    writeAll(open.fd, part);
    open.hasher.update(part);
    open.left -= part.length;
    if (open.left > 0) return Buffer.alloc(0);
    this.#open = undefined;
    try {
      this.#writer.settle(open.fd);
    } finally {
      fs.closeSync(open.fd);
    }
    const digest: Digest = `sha256:${open.hasher.digest('hex')}`;
    this.#writer.adopt(bytesOfText(open.header.path), digest, open.header.executable);
    this.#done(open.header, digest);
    return chunk.subarray(part.length);
  }

  #done({ path, executable, bytes, digest: claimed }: FileHeader, digest: Digest): void {
    if (claimed === undefined) this.#digests.push(digest);
    else if (claimed !== digest) throw malformed('content does not fit its digest', path);
    this.#entries.push({ type: 'file', path, executable, bytes, digest });
  }
}

export function writeAll(fd: number, content: Uint8Array): void {
  for (let at = 0; at < content.byteLength;) at += fs.writeSync(fd, content, at);
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
