import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { basename, join } from 'node:path';
import { OrchestraError } from '#contract/errors.ts';
import type { Digest } from '#contract/ids.ts';
import type { ChangeSet, LayerEntry, LeftOut } from '#contract/snapshot.ts';
import { freshen } from '../artifacts/freshen.ts';
import { openXattrs } from '../artifacts/xattr.ts';
import { packed, unpacked } from './copies/copying.ts';
import type { PackRequest } from './copies/pack.ts';
import type { Unpacked } from './copies/unpack.ts';
import type { DiskUse } from './measure.ts';
import { checkLayer, type LayerCheck, putLayerAside } from './check-layer.ts';
import { FlatAhead } from './flat-ahead.ts';
import { layerDigest, readLayer } from './manifest.ts';
import type { Place, SealedLayer, Stack } from './operations.ts';
import { layerLink, snapshotDir } from './places.ts';
import type { Trash } from './trash.ts';
import type { WorkerPool } from './worker-pool.ts';

export type { LayerCheck } from './check-layer.ts';
export type { AncestorLayer, SealedLayer, Stack } from './operations.ts';

/** Directories for one overlay mount; `lower` has the uppermost first. All paths are absolute. */
export type PreparedLayer = {
  id: string;
  stack: Stack;
  lower: string[];
  upper: string;
  work: string;
  /** `lowerdir=…,upperdir=…,workdir=…,userxattr,nosuid,nodev`, below the kernel's 4096 bytes. */
  options: string;
};

/**
 * Layers are transactions: `prepare` before an attempt, then either `seal` or `drop`, both only
 * when the sandbox is gone and nothing has the overlay mounted any more.
 *
 * Sealed layers are named by their digest and never change. `drop` may be repeated. Calls for
 * different layers may run at the same time.
 */
export class Layers {
  readonly #place: Place;
  readonly #pool: WorkerPool;
  readonly #trash: Trash;
  readonly #copying: WorkerPool;
  readonly #flat: FlatAhead;
  /** Of layers that were read back: what of them was left behind, which their seal says too. */
  readonly #leftBehind = new Map<string, Pick<Unpacked, 'leftOut' | 'leftOutCount'>>();
  /** Of layers that were found sound: what would show that nobody has written to them since. */
  readonly #stamps = new Map<Digest, string>();
  /** The last answer: whoever applies a change set asks again with every file of it. */
  #compared: { key: string; changes: ChangeSet } | undefined;

  constructor(place: Place, pool: WorkerPool, trash: Trash, copying = pool) {
    this.#place = place;
    this.#pool = pool;
    this.#trash = trash;
    this.#copying = copying;
    this.#flat = new FlatAhead(place, copying, emptyLayer);
  }

  /**
   * Throws `workspace.conflict` with a place for each path that two ancestors, neither of which
   * waited for the other, changed differently. `stack.ancestors` must hold every ancestor.
   */
  async prepare(stack: Stack, signal?: AbortSignal): Promise<PreparedLayer> {
    const { stateDir } = this.#place;
    await this.#flat.ready(stack);
    const lower = stack.ancestors.every(({ layer }) => layer === nothing.digest)
      ? [join(snapshotDir(stateDir, stack.snapshot), 'tree')]
      : (await this.#pool.run('stack', { place: this.#place, stack }, signal ? { signal } : {}))
          .lower;
    try {
      await fs.access(lower.at(-1) ?? '');
    } catch (cause) {
      throw new OrchestraError('snapshot.unknown', `There is no snapshot ${stack.snapshot}`, {
        cause,
      });
    }
    const { id, upper, work } = await this.#makeRoom();
    this.#flat.ahead(stack);
    const options = `lowerdir=${lower.join(':')},upperdir=${upper},workdir=${work},userxattr,nosuid,nodev`;
    return { id, stack, lower, upper, work, options };
  }

  /** A writable layer over one directory of the daemon's own; always dropped, never sealed. */
  async scratch(
    directory: string,
  ): Promise<Pick<PreparedLayer, 'id' | 'lower' | 'upper' | 'work'>> {
    return { lower: [directory], ...(await this.#makeRoom()) };
  }

  /**
   * What a task sees of these directories, as a tar stream, for an engine that does not see them.
   * Everything in it belongs to `owner`.
   */
  send(request: PackRequest): AsyncIterable<Uint8Array> {
    return packed(this.#copying, request);
  }

  /**
   * Takes what a task left there, as a tar stream of its whole workspace, and makes of it what the
   * kernel would have put into the layer. To be called before `seal`, and again from the start where
   * it was cut off. Stops where the task left more than it may: then the answer says so.
   */
  async readBack(
    { id, stack }: Pick<PreparedLayer, 'id' | 'stack'>,
    tar: AsyncIterable<Uint8Array>,
    { allowance, signal }: { allowance: DiskUse; signal?: AbortSignal },
  ): Promise<Pick<Unpacked, 'use' | 'isOver'>> {
    const dir = join(this.#place.stateDir, 'l', id);
    this.#leftBehind.delete(id);
    await fs.rm(join(dir, 'spool'), { force: true });
    await fs.rmdir(join(dir, 'u')).catch(() => this.#trash.put(join(dir, 'u')));
    await this.#makeDir(join(dir, 'u'));
    const request = { place: this.#place, id, stack, allowance };
    const { use, isOver, ...left } = await unpacked(this.#copying, request, tar, signal);
    if (left.leftOutCount > 0) this.#leftBehind.set(id, left);
    return { use, isOver };
  }

  /**
   * Hashes what the task left and gives the layer its digest. Content stays in the layer. Equal changes give equal digests. Owners, times and special mode bits are not part of it;
   * sockets, pipes and devices are left out and listed.
   */
  async seal(prepared: PreparedLayer, signal?: AbortSignal): Promise<SealedLayer> {
    const { id, stack } = prepared;
    const left = this.#leftBehind.get(id);
    this.#leftBehind.delete(id);
    await this.#removeWork(id);
    if (await this.#removeUntouched(id)) return withLeft(nothing, left);
    const { sealed, kept, stamp } = await this.#pool.run(
      'seal',
      { place: this.#place, id, stack },
      signal ? { signal } : {},
    );
    if (kept) this.#stamped(sealed.digest, stamp);
    else await this.#trash.put(join(this.#place.stateDir, 'l', id));
    return withLeft(sealed, left);
  }

  /** Nothing of it is in its place when this resolves; the room on disk is free a little later. */
  async drop(prepared: Pick<PreparedLayer, 'id'>): Promise<void> {
    this.#leftBehind.delete(prepared.id);
    await this.#trash.put(join(this.#place.stateDir, 'l', prepared.id));
  }

  /**
   * Makes ready for its sandbox to be looked at once more what a daemon had begun to seal when it
   * died. Does nothing where the upper directory is gone: an empty one would tell a lie.
   */
  async reopen({ upper, work }: Pick<PreparedLayer, 'upper' | 'work'>): Promise<void> {
    const isThere = await fs.lstat(upper).then(
      (stat) => stat.isDirectory(),
      () => false,
    );
    if (isThere) await fs.mkdir(work, { mode: 0o755 }).catch(() => {});
  }

  /** Whether a digest leads to it: then other tasks may stand on it. */
  async isNamed(id: string): Promise<boolean> {
    const { stateDir } = this.#place;
    try {
      const manifest = await fs.readFile(join(stateDir, 'l', id, 'layer.json'), 'utf8');
      const { digest } = JSON.parse(manifest) as { digest: Digest };
      return basename(await fs.readlink(layerLink(stateDir, digest))) === id;
    } catch {
      return false;
    }
  }

  /** Whoever is told that it is there may rely on it: it stays for a while. */
  async has(layer: Digest): Promise<boolean> {
    return freshen(layerLink(this.#place.stateDir, layer));
  }

  /** Nothing is made ahead any more. */
  async close(): Promise<void> {
    await this.#flat.close();
  }

  /** Some of them were removed. */
  forget(): void {
    this.#flat.forget();
    this.#compared = undefined;
  }

  /**
   * Whether a layer is there and still is what its digest says. Its bytes are read once in the life
   * of the daemon, and again when a file of it was written to. A sound one stays for a while.
   */
  async check(layer: Digest, signal?: AbortSignal): Promise<LayerCheck> {
    if (!(await this.has(layer))) return { state: 'missing' };
    const stamp = this.#stamps.get(layer);
    const args = { place: this.#place, layer, stamp };
    const answer = (await this.#isSmall(layer))
      ? checkLayer(args, openXattrs())
      : await this.#pool.run('check', args, signal ? { signal } : {});
    if (answer.state === 'sound') this.#stamped(layer, answer.stamp);
    else this.#stamps.delete(layer);
    return answer;
  }

  /** So that the next equal layer takes its place. For those that `check` found damaged. */
  putAside(layer: Digest): void {
    this.#stamps.delete(layer);
    putLayerAside(this.#place, layer);
  }

  /** What a sealed layer changes, parents before children. */
  entries(layer: Digest): readonly LayerEntry[] {
    return readLayer(this.#place.stateDir, layer).entries;
  }

  /** What `layers`, oldest first, made of the snapshot. Every content it names is a blob then. */
  async changes(snapshot: Digest, layers: readonly Digest[]): Promise<ChangeSet> {
    const key = [snapshot, ...layers].join('\n');
    if (this.#compared?.key === key) return this.#compared.changes;
    const changes = await this.#pool.run('changes', { place: this.#place, snapshot, layers });
    this.#compared = { key, changes };
    return changes;
  }

  /**
   * Removes attempts that were neither sealed nor dropped, but those by these ids. Only at start,
   * before anything is prepared; the containers of all others are gone.
   */
  async sweep(inUse: ReadonlySet<string> = new Set()): Promise<number> {
    const root = join(this.#place.stateDir, 'l');
    let removed = 0;
    for (const id of await fs.readdir(root)) {
      if (inUse.has(id)) continue;
      const sealed = await fs.access(join(root, id, 'layer.json')).then(
        () => true,
        () => false,
      );
      if (sealed) continue;
      await this.drop({ id });
      removed += 1;
    }
    return removed;
  }

  #stamped(layer: Digest, stamp: string): void {
    this.#stamps.delete(layer);
    this.#stamps.set(layer, stamp);
    const [oldest] = this.#stamps.keys();
    if (this.#stamps.size > stampsMax && oldest !== undefined) this.#stamps.delete(oldest);
  }

  /** Looked at in less time than a thread takes to begin. */
  async #isSmall(layer: Digest): Promise<boolean> {
    const link = layerLink(this.#place.stateDir, layer);
    const stat = await fs.stat(join(link, 'layer.json')).catch(() => undefined);
    if (stat === undefined) return true;
    if (stat.size > smallManifestBytes) return false;
    try {
      return readLayer(this.#place.stateDir, layer).bytes <= smallBytes;
    } catch {
      return true;
    }
  }

  async #makeRoom(): Promise<Pick<PreparedLayer, 'id' | 'upper' | 'work'>> {
    const { stateDir } = this.#place;
    const id = randomBytes(5).toString('hex');
    const dir = join(stateDir, 'l', id);
    const [upper, work] = [join(dir, 'u'), join(dir, 'w')];
    await fs.mkdir(dir, { mode: 0o700 });
    for (const path of [upper, work]) await this.#makeDir(path);
    return { id, upper, work };
  }

  async #makeDir(path: string): Promise<void> {
    const { uid, gid } = this.#place;
    await fs.mkdir(path, { mode: 0o755 });
    await fs.chmod(path, 0o755);
    if (process.getuid?.() === 0) await fs.chown(path, uid, gid);
  }

  /**
   * A task that only looked, or printed, left nothing: no thread need look for it. The first such
   * layer of this state directory is sealed like any other, so that its digest leads somewhere.
   */
  async #removeUntouched(id: string): Promise<boolean> {
    if (!(await this.has(nothing.digest))) return false;
    const dir = join(this.#place.stateDir, 'l', id);
    try {
      await fs.rmdir(join(dir, 'u'));
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOTEMPTY') return false;
      throw cause;
    }
    await fs.rmdir(dir);
    return true;
  }

  /** The kernel leaves `work/work` to root, empty and closed; whoever owns its parent may still rmdir it. */
  async #removeWork(id: string): Promise<void> {
    const work = join(this.#place.stateDir, 'l', id, 'w');
    for (const path of [join(work, 'work'), join(work, 'index'), work]) {
      await fs.rmdir(path).catch(() => undefined);
    }
  }
}

function withLeft(
  sealed: SealedLayer,
  left: { leftOut: LeftOut[]; leftOutCount: number } | undefined,
): SealedLayer {
  if (left === undefined) return sealed;
  return {
    ...sealed,
    leftOut: [...left.leftOut, ...sealed.leftOut].slice(0, leftOutMax),
    leftOutCount: left.leftOutCount + sealed.leftOutCount,
  };
}

const leftOutMax = 1000;
const stampsMax = 100_000;
const smallManifestBytes = 16 * 1024;
const smallBytes = 256 * 1024;

const nothing: SealedLayer = {
  digest: layerDigest([]),
  entries: 0,
  bytes: 0,
  changes: { added: 0, modified: 0, deleted: 0 },
  leftOut: [],
  leftOutCount: 0,
};

/** Of a task that left nothing: under and over it everything looks the same. */
export const emptyLayer = nothing.digest;
