import { join } from 'node:path';
import { bytesOfText } from '#contract/path-bytes.ts';
import type { Change, ChangeSet } from '#contract/snapshot.ts';
import { hostPath } from '../artifacts/beneath.ts';
import { adoptFile } from '../artifacts/store-file.ts';
import { readLayer, readManifest } from './manifest.ts';
import type { Operations } from './operations.ts';
import { sameEntry, Tree } from './tree.ts';

/**
 * What a run's layers made of its snapshot, path by path in byte order. From here on somebody may
 * ask for the content of each path, so it is made a blob.
 */
export function changesOf({ place, snapshot, layers }: Operations['changes']['args']): ChangeSet {
  const base = readManifest(place.stateDir, snapshot);
  const after = Tree.of(base);
  const read = layers.map((layer) => readLayer(place.stateDir, layer));
  for (const [i, layer] of read.entries()) after.apply(layer.entries, i + 1);
  const uppers = read.map(({ upper }) => Buffer.from(upper).toString('latin1'));
  for (const { entry, origin } of after.placed()) {
    const upper = uppers[origin - 1];
    if (entry.type !== 'file' || upper === undefined) continue;
    const source = hostPath(`${upper}/${bytesOfText(entry.path)}`);
    adoptFile(join(place.stateDir, 'blobs'), entry.digest, source);
  }
  return { snapshot, items: compare(Tree.of(base), after) };
}

export function compare(before: Tree, after: Tree): Change[] {
  const items: Change[] = [];
  for (const entry of after.entries()) {
    const old = before.get(entry.path);
    if (old === undefined) items.push({ path: entry.path, change: 'added', after: entry });
    else if (!sameEntry(old, entry)) {
      items.push({ path: entry.path, change: 'modified', before: old, after: entry });
    }
  }
  for (const entry of before.entries()) {
    if (!after.has(entry.path)) items.push({ path: entry.path, change: 'deleted', before: entry });
  }
  return items
    .map((item) => ({ item, key: bytesOfText(item.path) }))
    .sort((a, b) => (a.key < b.key ? -1 : 1))
    .map(({ item }) => item);
}
