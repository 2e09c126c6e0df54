import * as fs from 'node:fs';
import type { Digest } from '#contract/ids.ts';
import { type ByteString, bytesOfText, textOfBytes } from '#contract/path-bytes.ts';
import type { LeftOut } from '#contract/snapshot.ts';
import { canonicalJson } from '../base/canonical.ts';
import { finder, type Automaton } from '../secrets/automaton.ts';
import type { ArtifactManifest } from './manifest.ts';
import { type Found, MergedDir } from './overlay.ts';
import { storeBytes, storeFile } from './store-file.ts';
import type { Xattrs } from './xattr.ts';

export type CollectRequest = {
  /** The task's view, uppermost first: its own upper directory, then the lower ones. */
  roots: readonly string[];
  outputs: readonly { name: string; path: string; required: boolean }[];
  limits: { filesMax: number; bytesMax: number; depthMax: number };
  /** Spellings of secrets: an output that holds one, or has it in a name, is rejected. */
  secrets?: Automaton;
};

export type CollectedArtifact = {
  name: string;
  path: string;
  kind: 'file' | 'directory';
  /** Of the file, or of the directory's manifest (`ArtifactManifest`). Both are blobs. */
  digest: Digest;
  /** Of the content, for a directory of all its files together. */
  bytes: number;
  files: number;
  /** The first of them; `leftOutCount` says how many there are. */
  leftOut: LeftOut[];
  leftOutCount: number;
};
export type RejectedArtifact = { name: string; path: string; required: boolean; reason: string };

export type Collected = {
  artifacts: CollectedArtifact[];
  /** Not there, a link on the way, a special file, too large: the reason in words. */
  rejected: RejectedArtifact[];
};

/**
 * Reads declared outputs from the layers of a dead task, beneath its roots and through no link.
 * What is wrong with one output concerns that output alone.
 */
export function collect(request: CollectRequest, blobs: string, xattrs: Xattrs): Collected {
  const collected: Collected = { artifacts: [], rejected: [] };
  const budget = { files: request.limits.filesMax, bytes: request.limits.bytesMax };
  for (const output of request.outputs) {
    try {
      using root = MergedDir.open(request.roots, xattrs);
      // Nobody writes any more, so what was measured is what will be read; and of an output that
      // is too large, a sparse file above all, not a byte is read or kept.
      new Collector(blobs, { ...budget }, request, { isMeasuring: true }).output(root, output);
      const collector = new Collector(blobs, { ...budget }, request, { isMeasuring: false });
      const artifact = collector.output(root, output);
      collected.artifacts.push(artifact);
      budget.files -= artifact.files;
      budget.bytes -= artifact.bytes;
    } catch (cause) {
      if (!(cause instanceof Rejection)) throw cause;
      const { name, path, required } = output;
      collected.rejected.push({ name, path, required, reason: cause.message });
    }
  }
  return collected;
}

class Rejection extends Error {}

const notYet: Digest = `sha256:${'0'.repeat(64)}`;

class Collector {
  readonly #blobs: string;
  readonly #budget: { files: number; bytes: number };
  readonly #depthMax: number;
  readonly #secrets: Automaton | undefined;
  readonly #isMeasuring: boolean;
  readonly #entries: ArtifactManifest['entries'] = [];
  readonly #leftOut: LeftOut[] = [];
  #leftOutCount = 0;
  #files = 0;
  #bytes = 0;

  constructor(
    blobs: string,
    budget: { files: number; bytes: number },
    { limits, secrets }: CollectRequest,
    { isMeasuring }: { isMeasuring: boolean },
  ) {
    this.#blobs = blobs;
    this.#budget = budget;
    this.#depthMax = limits.depthMax;
    this.#secrets = secrets;
    this.#isMeasuring = isMeasuring;
  }

  output(root: MergedDir, { name, path }: { name: string; path: string }): CollectedArtifact {
    const parts = partsOf(path);
    const found = parts.length === 0 ? undefined : resolve(root, parts);
    const facts = { name, path, leftOut: this.#leftOut };
    if (found?.kind === 'file') {
      const { digest, bytes } = this.#store(found);
      return { ...facts, leftOutCount: 0, kind: 'file', digest, bytes, files: 1 };
    }
    using directory = found?.directory;
    this.#directory(directory ?? root, '', 0);
    const manifest = { v: 1, entries: this.#entries } satisfies ArtifactManifest;
    const digest = this.#isMeasuring
      ? notYet
      : storeBytes(this.#blobs, Buffer.from(canonicalJson(manifest)));
    const size = { bytes: this.#bytes, files: this.#files };
    return { ...facts, leftOutCount: this.#leftOutCount, kind: 'directory', digest, ...size };
  }

  #directory(directory: MergedDir, prefix: ByteString, depth: number): void {
    if (depth > this.#depthMax) throw new Rejection(`nested deeper than ${this.#depthMax}`);
    for (const name of this.#names(directory)) {
      const bytes = prefix === '' ? name : `${prefix}/${name}`;
      const path = textOfBytes(bytes);
      if (this.#secrets && finder(this.#secrets)(Buffer.from(bytes, 'latin1'))) throw leak();
      if (path.startsWith('/b64/')) {
        // A tar has no honest way to say such a name.
        this.#leaveOut(path, 'name');
        continue;
      }
      const found = directory.find(name);
      if (found === undefined) continue;
      if (found.kind === 'directory') {
        using child = found.directory;
        this.#count();
        this.#entries.push({ type: 'dir', path });
        this.#directory(child, bytes, depth + 1);
      } else if (found.kind === 'file') {
        const { executable } = found;
        this.#entries.push({ type: 'file', path, executable, ...this.#store(found) });
      } else this.#leaveOut(path, found.kind === 'symlink' ? 'link' : 'device');
    }
  }

  #leaveOut(path: string, reason: LeftOut['reason']): void {
    this.#leftOutCount += 1;
    if (this.#leftOut.length < 1000) this.#leftOut.push({ path, reason });
  }

  #names(directory: MergedDir): ByteString[] {
    try {
      return directory.names(this.#budget.files * 2 + 1000);
    } catch (cause) {
      if (cause instanceof RangeError) throw new Rejection('too many files');
      throw cause;
    }
  }

  #store({ fd, size }: { fd: number; size: number }): { digest: Digest; bytes: number } {
    try {
      this.#count();
      this.#files += 1;
      this.#bytes += size;
      if (this.#bytes > this.#budget.bytes) {
        throw new Rejection(`more than ${this.#budget.bytes} bytes`);
      }
      if (this.#isMeasuring) return { digest: notYet, bytes: size };
      if (this.#secrets && fileHolds(fd, this.#secrets)) throw leak();
      return { digest: storeFile(this.#blobs, fd), bytes: size };
    } finally {
      fs.closeSync(fd);
    }
  }

  #count(): void {
    if (this.#entries.length >= this.#budget.files) {
      throw new Rejection(`more than ${this.#budget.files} files`);
    }
  }
}

function leak(): Rejection {
  return new Rejection('holds a secret');
}

/** Positioned reads: whoever reads the file next begins at its start. */
function fileHolds(fd: number, secrets: Automaton): boolean {
  const holds = finder(secrets);
  const block = Buffer.allocUnsafe(1 << 20);
  for (let at = 0; ;) {
    const got = fs.readSync(fd, block, 0, block.length, at);
    if (got === 0) return false;
    if (holds(block.subarray(0, got))) return true;
    at += got;
  }
}

function partsOf(path: string): ByteString[] {
  const parts = bytesOfText(path)
    .split('/')
    .filter((part) => part !== '' && part !== '.');
  if (path.startsWith('/') || path.includes('\0') || parts.includes('..')) {
    throw new Rejection('not a path beneath the workspace');
  }
  return parts;
}

/** Goes down name by name; links are refused wherever they are. */
function resolve(
  root: MergedDir,
  parts: readonly ByteString[],
): Extract<Found, { kind: 'file' | 'directory' }> {
  let here: MergedDir | undefined;
  for (const [i, part] of parts.entries()) {
    const found: Found | undefined = (here ?? root).find(part);
    here?.[Symbol.dispose]();
    here = undefined;
    if (found === undefined) throw new Rejection('not there');
    if (found.kind === 'symlink') throw new Rejection(`"${textOfBytes(part)}" is a link`);
    if (found.kind === 'special') {
      throw new Rejection(`"${textOfBytes(part)}" is neither a file nor a directory`);
    }
    if (i === parts.length - 1) return found;
    if (found.kind === 'file') {
      fs.closeSync(found.fd);
      throw new Rejection('not there');
    }
    here = found.directory;
  }
  throw new Rejection('not there');
}
