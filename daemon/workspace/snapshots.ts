import { hash, randomBytes } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '#contract/ids.ts';
import type { FileEntry, SnapshotAnswer, SnapshotInfo, TreeEntry } from '#contract/snapshot.ts';
import { OrchestraError } from '#contract/errors.ts';
import { blobPath, blobVariants } from '../artifacts/blob-path.ts';
import { freshen } from '../artifacts/freshen.ts';
import { digestOf } from '../base/canonical.ts';
import { batches } from './batches.ts';
import { readManifest, treeDigest } from './manifest.ts';
import type { Place } from './operations.ts';
import { snapshotDir } from './places.ts';
import { type Part, partOf } from './subset.ts';
import type { WorkerPool } from './worker-pool.ts';

const silenceMs = 30_000;
/** What is found out in less than some milliseconds is not worth a thread. */
const quick = { entries: 20_000, steps: 2_000_000 };
const partsMax = 1000;

/** Read-only trees by digest: hard links into the blobs, there whole or not at all. */
export class Snapshots {
  readonly #place: Place;
  readonly #pool: WorkerPool;
  readonly #uploads: WorkerPool;
  readonly #silenceMs: number;
  /** When each upload began that is under way. */
  readonly #ingesting = new Set<{ since: number }>();
  /** Of the snapshot that was asked for last: one run asks for several files of one. */
  #lately: { digest: Digest; entries: readonly TreeEntry[] } | undefined;

  /** Of the parts that were asked for last, which snapshots they are. */
  readonly #parts = new Map<string, Digest>();

  /** Uploads have threads of their own: they are as slow as their senders, and tasks wait for nobody. */
  constructor(place: Place, pools: { files: WorkerPool; uploads: WorkerPool; silenceMs?: number }) {
    this.#place = place;
    this.#pool = pools.files;
    this.#uploads = pools.uploads;
    this.#silenceMs = pools.silenceMs ?? silenceMs;
  }

  /** `undefined` when it is not there; otherwise it stays for a while, to be used. */
  async find(digest: Digest): Promise<SnapshotInfo | undefined> {
    const dir = snapshotDir(this.#place.stateDir, digest);
    if (!(await freshen(dir))) return undefined;
    const text = await fs.readFile(join(dir, 'info.json'), 'utf8').catch(() => undefined);
    return text === undefined ? undefined : (JSON.parse(text) as SnapshotInfo);
  }

  /** Some of them were removed. */
  forget(): void {
    this.#lately = undefined;
  }

  /** Which of these the client has to send the content of. Who asks is about to send it. */
  async missing(digests: readonly Digest[]): Promise<Digest[]> {
    this.#uploads.warm();
    if (digests.length === 0) return [];
    const blobsDir = join(this.#place.stateDir, 'blobs');
    return this.#pool.run('missing', { blobsDir, digests });
  }

  /**
   * Reads one upload (`contract/snapshot.ts`) and builds the tree while it comes in. Nothing is
   * kept of an upload that is cut off, malformed or too large, except blobs.
   */
  async ingest(input: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<SnapshotAnswer> {
    const place = this.#place;
    const temp = join(place.stateDir, 'tmp', `s${randomBytes(6).toString('hex')}`);
    const upload = { since: Date.now() };
    this.#ingesting.add(upload);
    try {
      return await this.#uploads.run(
        'ingest',
        { place, temp },
        { input: batches(input, this.#silenceMs), ...(signal ? { signal } : {}) },
      );
    } catch (cause) {
      // An aborted worker had no chance to clean up. What cannot go now goes at the next start.
      await this.#pool.run('remove', { path: temp }).catch(() => undefined);
      throw cause;
    } finally {
      this.#ingesting.delete(upload);
    }
  }

  /** What was there when the oldest upload began may be named by it until it ends. */
  get ingestingSince(): number {
    return Math.min(...[...this.#ingesting].map(({ since }) => since));
  }

  /** Every entry in the byte order of the paths, for the planner's profile and the lockfile. */
  async entries(digest: Digest): Promise<readonly TreeEntry[]> {
    if (this.#lately?.digest !== digest) {
      this.#lately = { digest, entries: readManifest(this.#place.stateDir, digest) };
    }
    return this.#lately.entries;
  }

  /**
   * The snapshot that is a part of another: what the globs of `inputs` take in (`globs.ts`) with the
   * directories above, and the directory `cwd`, if it is one. Made when it is not there yet.
   */
  async subset(digest: Digest, part: Part, signal?: AbortSignal): Promise<Digest> {
    const key = digestOf([digest, part.inputs, part.cwd]);
    const known = this.#parts.get(key) ?? this.#quickly(digest, part);
    const found =
      known !== undefined && (await freshen(snapshotDir(this.#place.stateDir, known)))
        ? known
        : await this.#pool.run(
            'subset',
            { place: this.#place, snapshot: digest, part },
            signal ? { signal } : {},
          );
    this.#parts.delete(key);
    this.#parts.set(key, found);
    const [oldest] = this.#parts.keys();
    if (this.#parts.size > partsMax && oldest !== undefined) this.#parts.delete(oldest);
    return found;
  }

  /** Of the snapshot that is in memory anyway; which part that is, not whether it is there. */
  #quickly(digest: Digest, part: Part): Digest | undefined {
    const entries = this.#lately?.digest === digest ? this.#lately.entries : undefined;
    if (entries === undefined || entries.length > quick.entries) return undefined;
    const taken = partOf(entries, part, quick.steps);
    return taken && treeDigest(taken);
  }

  /** Content of one file of the snapshot; `undefined` when there is no such regular file. */
  async readFile(digest: Digest, path: string, maxBytes: number): Promise<Buffer | undefined> {
    const entry = (await this.entries(digest)).find(
      (e): e is FileEntry => e.type === 'file' && e.path === path,
    );
    if (entry === undefined) return undefined;
    if (entry.bytes > maxBytes) {
      throw new OrchestraError('workspace.too_large', `${path} has more than ${maxBytes} bytes`);
    }
    for (const variant of blobVariants) {
      const blob = blobPath(join(this.#place.stateDir, 'blobs'), entry.digest, variant);
      const content = await fs.readFile(blob).catch(() => undefined);
      if (content === undefined) continue;
      if (`sha256:${hash('sha256', content, 'hex')}` === entry.digest) return content;
      throw new OrchestraError('blob.damaged', `The bytes of ${path} are not what they were`);
    }
    throw new OrchestraError('blob.unknown', `The content of ${path} is gone`);
  }
}
