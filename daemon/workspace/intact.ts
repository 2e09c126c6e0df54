import type { Digest } from '#contract/ids.ts';
import { type BlobCheck, checkBlobs } from './check-blobs.ts';
import type { WorkerPool } from './worker-pool.ts';

export type CheckedBlob = { digest: Digest; bytes?: number };

const stampsMax = 100_000;
/** Looked at in less time than a thread takes to begin. */
const small = { blobs: 32, bytes: 256 * 1024 };

/** Whether groups of blobs still are what they were, with a memory of those that were. */
export class Intact {
  readonly #blobsDir: string;
  readonly #pool: WorkerPool;
  readonly #stamps = new Map<Digest, string>();

  constructor(blobsDir: string, pool: WorkerPool) {
    this.#blobsDir = blobsDir;
    this.#pool = pool;
  }

  /** `key` names the group: the same key is always asked with the same blobs. */
  async check(
    key: Digest,
    blobs: readonly CheckedBlob[],
    signal?: AbortSignal,
  ): Promise<BlobCheck> {
    const stamp = this.#stamps.get(key);
    const args = { blobsDir: this.#blobsDir, blobs, stamp };
    const answer = isSmall(blobs)
      ? checkBlobs(args)
      : await this.#pool.run('checkBlobs', args, signal ? { signal } : {});
    this.#stamps.delete(key);
    if (answer.state === 'sound') this.#stamps.set(key, answer.stamp);
    const [oldest] = this.#stamps.keys();
    if (this.#stamps.size > stampsMax && oldest !== undefined) this.#stamps.delete(oldest);
    return answer;
  }
}

function isSmall(blobs: readonly CheckedBlob[]): boolean {
  if (blobs.length > small.blobs) return false;
  return blobs.reduce((sum, { bytes = small.bytes + 1 }) => sum + bytes, 0) <= small.bytes;
}
