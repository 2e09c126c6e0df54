import { hash, randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { freshenSync } from '../artifacts/freshen.ts';
import { refuseConflicts } from './conflicts.ts';
import { fillTree } from './fill-tree.ts';
import { readLayer, readManifest } from './manifest.ts';
import type { Operations, Place, Stack } from './operations.ts';
import { snapshotDir } from './places.ts';
import { removeTree } from './remove.ts';
import { Tree } from './tree.ts';
import { TreeWriter } from './tree-writer.ts';

// The kernel takes one page of mount options and 500 lower directories.
const lowerBytesMax = 3600;
const lowersMax = 120;
const flattenStep = 32;
const aheadShare = 0.7;

type Layer = ReturnType<typeof readLayer>;

/** The lower directories of a task, uppermost first. */
export function stackLowers({
  place,
  stack,
}: Operations['stack']['args']): Operations['stack']['value'] {
  const layers = stack.ancestors.map((ancestor) => readLayer(place.stateDir, ancestor.layer));
  refuseConflicts(stack.ancestors, layers);
  const full = layers.filter((layer) => layer.entries.length > 0);
  const base = join(snapshotDir(place.stateDir, stack.snapshot), 'tree');
  // Always whole steps from the oldest on, so that the tasks of one run share what was flattened.
  for (let flat = 0; ; flat = Math.min(flat + flattenStep, full.length)) {
    const rest = full.slice(flat).map((layer) => layer.upper);
    const count = rest.length + 1;
    const bytes = rest.reduce((sum, path) => sum + Buffer.byteLength(path) + 1, base.length);
    if (flat < full.length && (bytes > lowerBytesMax || count > lowersMax)) continue;
    const bottom = flat === 0 ? base : flatten(place, stack, full.slice(0, flat));
    return { lower: [...rest.toReversed(), bottom] };
  }
}

/**
 * How many of the oldest layers a task over `count` of them will need as one tree. With `ahead` it is
 * told well before: as many more may come as take the time to make it.
 */
export function flattenedOf(
  { stateDir }: Pick<Place, 'stateDir'>,
  { snapshot }: Pick<Stack, 'snapshot'>,
  count: number,
  ahead = false,
): number {
  const base = join(snapshotDir(stateDir, snapshot), 'tree').length;
  const each = join(stateDir, 'l', '0123456789', 'u').length + 1;
  const share = ahead ? aheadShare : 1;
  for (let flat = 0; ; flat = Math.min(flat + flattenStep, count)) {
    const rest = count - flat;
    const fits = base + rest * each <= lowerBytesMax * share && rest + 1 <= lowersMax * share;
    if (fits || flat === count) return flat;
  }
}

/** Makes that tree where it is not there yet. */
export function flattenAhead({
  place,
  stack,
  count,
}: Operations['flatten']['args']): Operations['flatten']['value'] {
  const layers = stack.ancestors.map(({ layer }) => readLayer(place.stateDir, layer));
  const full = layers.filter((layer) => layer.entries.length > 0);
  flatten(place, stack, full.slice(0, count));
}

/** One directory that looks like the snapshot under these layers, made of hard links. */
function flatten(place: Place, { snapshot }: Stack, layers: readonly Layer[]): string {
  const key = hash('sha256', [snapshot, ...layers.map((layer) => layer.digest)].join('\n'), 'hex');
  const done = join(place.stateDir, 'flat', key.slice(0, 32));
  if (freshenSync(done)) return done;
  const temp = join(place.stateDir, 'tmp', `f${randomBytes(6).toString('hex')}`);
  fs.mkdirSync(temp, { mode: 0o755 });
  try {
    const tree = Tree.of(readManifest(place.stateDir, snapshot));
    for (const [i, layer] of layers.entries()) tree.apply(layer.entries, i + 1);
    const origins = [
      join(snapshotDir(place.stateDir, snapshot), 'tree'),
      ...layers.map((layer) => layer.upper),
    ].map((path) => Buffer.from(path).toString('latin1'));
    fillTree(new TreeWriter(temp, place), tree, origins);
    fs.mkdirSync(join(place.stateDir, 'flat'), { recursive: true, mode: 0o700 });
    fs.renameSync(temp, done);
  } catch (cause) {
    removeTree(temp);
    // Another task of the same run may have been quicker.
    if (!freshenSync(done)) throw cause;
  }
  return done;
}
