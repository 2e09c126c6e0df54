import * as fs from 'node:fs';
import { bytesOfText } from '#contract/path-bytes.ts';
import { hostPath } from '../artifacts/beneath.ts';
import type { Tree } from './tree.ts';
import type { TreeWriter } from './tree-writer.ts';

/** Writes a tree as directories, links and hard links to the files in the directories of its origins. */
export function fillTree(writer: TreeWriter, tree: Tree, origins: readonly string[]): void {
  for (const { entry, origin } of tree.placed()) {
    const path = bytesOfText(entry.path);
    if (entry.type === 'dir') writer.dir(path);
    else if (entry.type === 'symlink') writer.link(path, bytesOfText(entry.target));
    else {
      const source = hostPath(`${origins[origin] ?? ''}/${path}`);
      try {
        fs.linkSync(source, writer.at(path));
      } catch (cause) {
        if ((cause as NodeJS.ErrnoException).code !== 'EMLINK') throw cause;
        writer.copyOf(path, source, entry.executable);
      }
    }
  }
}
