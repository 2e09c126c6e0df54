import * as fs from 'node:fs';
import { join } from 'node:path';
import { layerDigest } from '../manifest.ts';
import { bytesOfTree } from './accounts.ts';
import { Marks, namesIn } from './marks.ts';
import { sweepPackages } from './packages.ts';
import type { PrunedPart, PruneWork, WeighRequest } from './request.ts';
import { Sweeper } from './sweeper.ts';

const variants = ['', '.f', '.x'];

/**
 * What each run adds to what those before it keep already, in bytes on the disk. Its packages are
 * everybody's and not counted.
 */
export function weigh({ stateDir, runs }: WeighRequest): number[] {
  const marks = new Marks(stateDir);
  return runs.map((run) => {
    let bytes = 0;
    marks.add(run, (hex) => {
      bytes += bytesBehind(stateDir, hex);
      if (marks.isSnapshot(hex)) {
        bytes += blocksOf(join(stateDir, 'snapshots', hex, 'manifest.json'));
      }
    });
    return bytes;
  });
}

/**
 * Removes what no run of these keeps and nobody used lately, names before content: a snapshot
 * before the blobs that it is made of, a layer's name before the layer. Stopped anywhere, what is
 * kept is whole and the rest is found again the next time.
 */
export function prune(work: PruneWork): PrunedPart[] {
  const marks = new Marks(work.stateDir);
  for (const run of work.runs) marks.add(run);
  const sweeper = new Sweeper(work.aside);
  const since = work.now - work.graceMs;
  // What an open run uses and no record names was touched when the run found it.
  const usedSince = Math.min(work.now, work.openSince) - work.graceMs;
  sweepFlat(work, sweeper, usedSince);
  sweepSnapshots(work, sweeper, { marks, since: usedSince });
  sweepLayers(work, sweeper, { marks, since });
  sweepBlobs(work, sweeper, { marks, since });
  sweepPackages(work, sweeper, Math.min(usedSince, work.packagesSince));
  return sweeper.parts();
}

type Rule = { marks: Marks; since: number };

/** Trees that were flattened for long chains of layers; made again whenever one is missing. */
function sweepFlat({ stateDir }: PruneWork, sweeper: Sweeper, since: number): void {
  const root = join(stateDir, 'flat');
  for (const name of namesIn(root)) takeIfOld(join(root, name), sweeper, 'flat', since);
}

function sweepSnapshots({ stateDir }: PruneWork, sweeper: Sweeper, { marks, since }: Rule): void {
  const root = join(stateDir, 'snapshots');
  for (const name of namesIn(root)) {
    if (!marks.has(name)) takeIfOld(join(root, name), sweeper, 'snapshots', since);
  }
}

function sweepLayers({ stateDir }: PruneWork, sweeper: Sweeper, { marks, since }: Rule): void {
  const [links, dirs] = [join(stateDir, 'layers'), join(stateDir, 'l')];
  const seen = new Set<string>();
  // Every run has tasks that leave nothing, and it takes no room.
  const nothing = layerDigest([]).slice('sha256:'.length);
  for (const name of namesIn(links)) {
    const link = join(links, name);
    const named = fs.lstatSync(link, { throwIfNoEntry: false });
    if (!named?.isSymbolicLink()) continue;
    if (!/^[0-9a-f]{64}$/.test(name)) {
      // A name that was on its way to its place. What it leads to may have got there.
      if (isOld(named, since) && !sweeper.isDry) fs.unlinkSync(link);
      continue;
    }
    const id = fs.readlinkSync(link).replace('../l/', '');
    seen.add(id);
    if (marks.has(name) || name === nothing) continue;
    const dir = join(dirs, id);
    const stat = fs.lstatSync(dir, { throwIfNoEntry: false });
    if (!isOld(named, since) || (stat !== undefined && !isOld(stat, since))) continue;
    if (!sweeper.isDry) fs.unlinkSync(link);
    if (stat === undefined) sweeper.count('layers');
    else if (!sweeper.take(dir, stat, 'layers')) putBack(link, id);
  }
  // A daemon that ended between two steps leaves a layer without its name. One that has not been
  // sealed is an attempt under way.
  for (const id of namesIn(dirs)) {
    const dir = join(dirs, id);
    if (seen.has(id) || !fs.existsSync(join(dir, 'layer.json'))) continue;
    takeIfOld(dir, sweeper, 'layers', since);
  }
}

function putBack(link: string, id: string): void {
  try {
    fs.symlinkSync(`../l/${id}`, link);
  } catch (cause) {
    // The same changes were sealed once more in between.
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause;
  }
}

/**
 * A blob whose file has another name in something that is kept takes no room, and may be about to
 * be a part of a snapshot that is being uploaded.
 */
function sweepBlobs({ stateDir }: PruneWork, sweeper: Sweeper, { marks, since }: Rule): void {
  const root = join(stateDir, 'blobs');
  for (const prefix of namesIn(root)) {
    if (!/^[0-9a-f]{2}$/.test(prefix)) continue;
    for (const name of namesIn(join(root, prefix))) {
      if (marks.has(name.slice(0, 64))) continue;
      const path = join(root, prefix, name);
      const stat = fs.lstatSync(path, { throwIfNoEntry: false });
      if (!stat?.isFile() || !isOld(stat, since)) continue;
      if (sweeper.accounts.namesLeft(stat) <= 1) sweeper.take(path, stat, 'blobs');
    }
  }
}

function takeIfOld(path: string, sweeper: Sweeper, what: PrunedPart['what'], since: number): void {
  const stat = fs.lstatSync(path, { throwIfNoEntry: false });
  if (stat !== undefined && isOld(stat, since)) sweeper.take(path, stat, what);
}

/** A time to come says that the clock was set back, and nothing of the age. */
function isOld({ ctimeMs }: fs.Stats, since: number): boolean {
  return ctimeMs < since;
}

function bytesBehind(stateDir: string, hex: string): number {
  let bytes = 0;
  for (const variant of variants) {
    bytes += blocksOf(join(stateDir, 'blobs', hex.slice(0, 2), `${hex}${variant}`));
  }
  const link = join(stateDir, 'layers', hex);
  if (fs.lstatSync(link, { throwIfNoEntry: false }) === undefined) return bytes;
  return bytes + bytesOfTree(join(stateDir, 'l', fs.readlinkSync(link).replace('../l/', '')));
}

function blocksOf(path: string): number {
  return (fs.lstatSync(path, { throwIfNoEntry: false })?.blocks ?? 0) * 512;
}
