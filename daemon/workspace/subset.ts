import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { OrchestraError } from '#contract/errors.ts';
import type { Digest } from '#contract/ids.ts';
import { type ByteString, bytesOfText } from '#contract/path-bytes.ts';
import type { SnapshotInfo, TreeEntry } from '#contract/snapshot.ts';
import { freshenSync } from '../artifacts/freshen.ts';
import { fillTree } from './fill-tree.ts';
import { Globs } from './globs.ts';
import { readManifest, treeDigest } from './manifest.ts';
import type { Operations } from './operations.ts';
import { snapshotDir } from './places.ts';
import { removeTree } from './remove.ts';
import { Tree } from './tree.ts';
import { TreeWriter } from './tree-writer.ts';

/** Which part of a snapshot: what the globs take in, and a directory that is there in any case. */
export type Part = { inputs: readonly string[]; cwd: string };

/** Some seconds of a thread; honest globs over half a million files take a tenth of it. */
const stepsMax = 500_000_000;

/**
 * The entries of a part, with the directories above them; `undefined` where finding that out takes
 * more than `steps`.
 */
export function partOf(
  entries: readonly TreeEntry[],
  { inputs, cwd }: Part,
  steps = stepsMax,
): TreeEntry[] | undefined {
  const globs = new Globs(inputs, steps);
  const above = new Set<ByteString>();
  const taken = new Set<TreeEntry>();
  const keepAbove = (path: ByteString): void => {
    let slash = path.lastIndexOf('/');
    for (; slash > 0; slash = path.lastIndexOf('/', slash - 1)) {
      const dir = path.slice(0, slash);
      if (above.has(dir)) return;
      above.add(dir);
    }
  };
  for (const entry of entries) {
    const path = bytesOfText(entry.path);
    if (!globs.takes(path, entry.type === 'dir')) continue;
    if (globs.isSpent) return undefined;
    taken.add(entry);
    keepAbove(path);
  }
  if (globs.isSpent) return undefined;
  if (cwd !== '.') keepAbove(`${bytesOfText(cwd)}/`);
  return entries.filter(
    (entry) => taken.has(entry) || (entry.type === 'dir' && above.has(bytesOfText(entry.path))),
  );
}

/**
 * Makes, or finds, the snapshot that is a part of another one: hard links to the same files, its
 * digest made like any other's. So two parts that look alike to a task are one.
 */
export function makeSubset({ place, snapshot, part }: Operations['subset']['args']): Digest {
  const entries = partOf(readManifest(place.stateDir, snapshot), part);
  if (entries === undefined) {
    throw new OrchestraError('workspace.too_large', 'The globs of inputs take too long to match', {
      hint: 'use fewer stars in a name',
    });
  }
  const digest = treeDigest(entries);
  const done = snapshotDir(place.stateDir, digest);
  if (freshenSync(done)) return digest;
  const temp = join(place.stateDir, 'tmp', `p${randomBytes(6).toString('hex')}`);
  try {
    fs.mkdirSync(join(temp, 'tree'), { recursive: true, mode: 0o755 });
    const origin = join(snapshotDir(place.stateDir, snapshot), 'tree');
    fillTree(new TreeWriter(join(temp, 'tree'), place), Tree.of(entries), [
      Buffer.from(origin).toString('latin1'),
    ]);
    fs.writeFileSync(join(temp, 'manifest.json'), JSON.stringify(entries));
    fs.writeFileSync(join(temp, 'info.json'), JSON.stringify(infoOf(digest, entries)));
    fs.renameSync(temp, done);
  } catch (cause) {
    removeTree(temp);
    // Another task may have been quicker.
    if (!freshenSync(done)) throw cause;
  }
  return digest;
}

function infoOf(digest: Digest, entries: readonly TreeEntry[]): SnapshotInfo {
  let [files, bytes] = [0, 0];
  for (const entry of entries) {
    if (entry.type !== 'file') continue;
    files += 1;
    bytes += entry.bytes;
  }
  return { digest, files, bytes };
}
