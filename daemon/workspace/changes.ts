import { bytesOfText } from '#contract/path-bytes.ts';
import type { Change, ChangeSet } from '#contract/snapshot.ts';
import { readLayer, readManifest } from './manifest.ts';
import type { Operations } from './operations.ts';
import { sameEntry, Tree } from './tree.ts';

/** What a run's layers made of its snapshot, path by path in byte order. */
export function changesOf({ place, snapshot, layers }: Operations['changes']['args']): ChangeSet {
  const base = readManifest(place.stateDir, snapshot);
  const after = Tree.of(base);
  for (const layer of layers) after.apply(readLayer(place.stateDir, layer).entries);
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
