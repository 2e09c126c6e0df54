import { bytesOfText } from './path-bytes.ts';
import type { LayerEntry, TreeEntry } from './snapshot.ts';

/** The bytes to hash for a tree's digest, one character a byte. Order of the input is irrelevant. */
export function treeForm(entries: Iterable<TreeEntry>): string {
  return canonicalForm('orchestra-tree 1', entries);
}

export function layerForm(entries: Iterable<LayerEntry>): string {
  return canonicalForm('orchestra-layer 1', entries);
}

function canonicalForm(title: string, entries: Iterable<LayerEntry>): string {
  const rows: { path: string; entry: LayerEntry }[] = [];
  for (const entry of entries) rows.push({ path: bytesOfText(entry.path), entry });
  rows.sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
  return `${title}\0${rows.map((row) => `${formOf(row.path, row.entry)}\0`).join('')}`;
}

function formOf(path: string, entry: LayerEntry): string {
  switch (entry.type) {
    case 'dir':
      return `${entry.opaque === true ? 'D' : 'd'}\0${path}\0`;
    case 'file':
      return `${entry.executable ? 'x' : 'f'}\0${path}\0${entry.digest}`;
    case 'symlink':
      return `l\0${path}\0${bytesOfText(entry.target)}`;
    case 'whiteout':
      return `w\0${path}\0`;
  }
}
