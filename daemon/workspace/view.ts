import { closeSync } from 'node:fs';
import { bytesOfText } from '#contract/path-bytes.ts';
import { MergedDir } from '../artifacts/overlay.ts';
import { openXattrs } from '../artifacts/xattr.ts';

/**
 * Whether a task would find a directory at `path`, looking through its layers (uppermost first)
 * without mounting them. A link on the way counts as no directory: it could lead anywhere.
 *
 * Asked before a sandbox starts, because the runtime would make a missing working directory
 * itself, owned by root, inside the task's layer.
 */
export function hasDirectory(roots: readonly string[], path: string): boolean {
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  return parts.length === 0 || holds(MergedDir.open(roots, openXattrs()), parts);
}

function holds(directory: MergedDir, [name, ...rest]: readonly string[]): boolean {
  using here = directory;
  if (name === undefined) return true;
  const found = here.find(bytesOfText(name));
  if (found?.kind === 'file') closeSync(found.fd);
  return found?.kind === 'directory' && holds(found.directory, rest);
}
