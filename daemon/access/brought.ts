import { OrchestraError } from '#contract/errors.ts';
import type { Digest } from '#contract/ids.ts';
import type { AnyRecord } from '#contract/records.ts';
import { ownerOf, type Caller } from './caller.ts';

const eachMax = 4096;

/**
 * Who brought which workspace: a fold over the log. To anybody else it is as if it were not there, so
 * that a digest which somebody came by opens nothing.
 */
export class Brought {
  /** By owner, the last seq that says so of each snapshot, oldest first. */
  readonly #owners = new Map<string, Map<Digest, number>>();

  fold(record: AnyRecord): void {
    if (record.type === 'log.pruned') this.#forget(record.data.to_seq);
    if (record.type !== 'input.copied' && record.type !== 'run.submitted') return;
    const owner = ownerOf(record.actor);
    const his = this.#owners.get(owner) ?? new Map<Digest, number>();
    this.#owners.set(owner, his);
    his.delete(record.data.snapshot);
    his.set(record.data.snapshot, record.seq);
    const [oldest] = his.keys();
    if (his.size > eachMax && oldest !== undefined) his.delete(oldest);
  }

  has({ actor, roles }: Pick<Caller, 'actor' | 'roles'>, snapshot: Digest): boolean {
    return roles.has('admin') || this.#owners.get(ownerOf(actor))?.has(snapshot) === true;
  }

  /** Throws `snapshot.unknown`, in the words of one that is not there. */
  assert(caller: Pick<Caller, 'actor' | 'roles'>, snapshot: Digest): void {
    if (!this.has(caller, snapshot)) throw noSnapshot(snapshot);
  }

  all(): [string, [Digest, number][]][] {
    return [...this.#owners].map(([owner, his]) => [owner, [...his]]);
  }

  #forget(to: number): void {
    for (const [owner, his] of this.#owners) {
      for (const [snapshot, seq] of his) if (seq < to) his.delete(snapshot);
      if (his.size === 0) this.#owners.delete(owner);
    }
  }
}

export function noSnapshot(snapshot: Digest): OrchestraError {
  return new OrchestraError('snapshot.unknown', `There is no snapshot ${snapshot}`, {
    hint: 'upload it first: POST /v1/snapshots',
  });
}
