import { cpSync, existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';

type Locked = { dev?: boolean; devOptional?: boolean };

/**
 * What a running program never reads: declarations, maps, tests, web pages, settings of other
 * people's tools, sources of what is compiled, and what was compiled for another runtime or libc.
 */
const unusedFile =
  /(?:^\.|\.(?:d\.[cm]?ts|map|md|markdown|html|bare|c|cc|cpp|h|hh|hpp|inc|S|asm|gyp|gypi)$)/i;
const otherLibc = /^musl_/;
const unusedFolders = new Set(['test', 'tests', '__tests__', 'benchmark', 'examples', '.github']);

/** The folders of what the lockfile names for production, as far as it is installed here. */
export function shippedDependencies(root: string): string[] {
  const lock = JSON.parse(readFileSync(path.join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, Locked>;
  };
  return Object.entries(lock.packages)
    .filter(([name, { dev, devOptional }]) => name !== '' && dev !== true && devOptional !== true)
    .map(([name]) => name)
    .filter((name) => existsSync(path.join(root, name)))
    .toSorted();
}

/** Copies them without what nobody runs. */
export function copyDependencies(root: string, target: string): void {
  for (const folder of shippedDependencies(root)) {
    const source = path.join(root, folder);
    const isUnused = (file: string) => {
      const within = path.relative(source, file).split(path.sep);
      const [top = ''] = within;
      // Packages within it are named by the lockfile themselves.
      if (within.includes('node_modules') || unusedFolders.has(top)) return true;
      return within.some((part) => otherLibc.test(part)) || unusedFile.test(within.at(-1) ?? '');
    };
    cpSync(source, path.join(target, folder), {
      recursive: true,
      dereference: true,
      filter: (file) => !isUnused(file),
    });
  }
  rmEmpty(path.join(target, 'node_modules'));
}

function rmEmpty(dir: string): void {
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    if (entry.isDirectory()) rmEmpty(path.join(dir, entry.name));
  }
  if (readdirSync(dir).length === 0) rmSync(dir, { recursive: true });
}
