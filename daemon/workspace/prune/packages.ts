import * as fs from 'node:fs';
import { join } from 'node:path';
import { namesIn } from './marks.ts';
import type { PruneWork } from './request.ts';
import type { Sweeper } from './sweeper.ts';

/**
 * npm's offline caches that no run used lately, then what of the store only they had a name for,
 * then the store's own index, which nobody reads. All of it can be fetched again.
 */
export function sweepPackages({ stateDir }: PruneWork, sweeper: Sweeper, since: number): void {
  const packages = join(stateDir, 'packages');
  const caches = join(packages, 'caches');
  for (const name of namesIn(caches)) {
    const path = join(caches, name);
    const stat = fs.lstatSync(path, { throwIfNoEntry: false });
    if (stat?.isDirectory() && stat.ctimeMs < since) sweeper.take(path, stat, 'packages');
  }
  for (const part of ['content-v2', 'index-v5', 'tmp']) {
    for (const path of filesUnder(join(packages, 'store', part))) {
      const stat = fs.lstatSync(path, { throwIfNoEntry: false });
      if (!stat?.isFile() || stat.ctimeMs >= since) continue;
      if (sweeper.accounts.namesLeft(stat) <= 1) sweeper.take(path, stat, 'packages');
    }
  }
}

function* filesUnder(root: string): Generator<string, void> {
  let entries: fs.Dirent[];
  try {
    entries = fs.readdirSync(root, { withFileTypes: true });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw cause;
  }
  for (const entry of entries) {
    const path = join(root, entry.name);
    if (entry.isDirectory()) yield* filesUnder(path);
    else if (entry.isFile()) yield path;
  }
}
