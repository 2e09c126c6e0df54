import { hash } from 'node:crypto';
import path from 'node:path';
import type { Tree } from './tree.ts';

/** Where an image says what its programs are; the daemon measures them all the same. */
export const claimPath = 'usr/share/orchestra/tools.json';

const programDirs = [
  'usr/local/sbin',
  'usr/local/bin',
  'usr/sbin',
  'usr/bin',
  'sbin',
  'bin',
] as const;

/**
 * Every program that a task finds by its name, with the sha256 of its file, and its version where it
 * is known. The name that comes first in PATH is the one.
 */
export function toolsClaim(tree: Tree, versions: Readonly<Record<string, string>>): string {
  const found = new Map<string, { name: string; sha256: string; version?: string }>();
  for (const dir of programDirs) {
    for (const place of tree.in(dir)) {
      const name = path.posix.basename(place);
      const content = tree.executable(place);
      if (content === undefined || found.has(name)) continue;
      const version = Object.hasOwn(versions, name) ? versions[name] : undefined;
      const sha256 = hash('sha256', content, 'hex');
      found.set(name, { name, sha256, ...(version === undefined ? {} : { version }) });
    }
  }
  const tools = [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  return `${JSON.stringify({ version: 1, tools }, undefined, 1)}\n`;
}
