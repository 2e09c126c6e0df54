import type { Profile } from '../profile.ts';

/** What the rules use of a package.json. */
export type PackageManifest = {
  scripts: Map<string, string>;
  dependencies: number;
  workspaces: boolean;
  /** Files that the package says it consists of or starts from, as written. */
  points: string[];
};

/** Reads a package.json leniently: what has another shape than npm's counts as absent. */
export function readPackage(text: string): PackageManifest | undefined {
  let found: unknown;
  try {
    found = JSON.parse(text.replace(/^\ufeff/, ''));
  } catch {
    return undefined;
  }
  if (!isObject(found)) return undefined;
  const scripts = Object.entries(isObject(found['scripts']) ? found['scripts'] : {})
    .filter((entry): entry is [string, string] => typeof entry[1] === 'string')
    .slice(0, 1000);
  const dependencies = ['dependencies', 'devDependencies', 'optionalDependencies']
    .map((part) => found[part])
    .reduce<number>((sum, part) => sum + (isObject(part) ? Object.keys(part).length : 0), 0);
  const points: string[] = [];
  for (const part of ['main', 'module', 'types', 'typings', 'bin', 'exports', 'files']) {
    collectText(found[part], points);
  }
  const workspaces = Array.isArray(found['workspaces']) || isObject(found['workspaces']);
  return { scripts: new Map(scripts), dependencies, workspaces, points };
}

/**
 * Directories that the build makes: named by package.json or by the compiler's outDir, and not in
 * the workspace yet, so nobody keeps sources there.
 */
export function builtDirectories(
  profile: Profile,
  folder: string,
  manifest: PackageManifest,
): string[] {
  const named = manifest.points
    .map((point) => /^(?:\.\/)?([\w.-]+)(?:\/|$)/.exec(point)?.[1] ?? '')
    // In `files`, a name with a dot is rather a file such as README.md.
    .filter((name) => /^[\w-]+$/.test(name));
  for (const config of ['tsconfig.build.json', 'tsconfig.json']) {
    const text = (profile.texts[folder + config] ?? '').replace(/^\s*\/\/.*$/gm, '');
    const outDir = /"outDir"\s*:\s*"(?:\.\/)?([\w-]+)\/?"/.exec(text)?.[1];
    if (outDir !== undefined) named.push(outDir);
  }
  // Only the names at the top are known; beneath it, a package's own directories are not.
  if (folder !== '') return [];
  return [...new Set(named)]
    .filter((name) => !profile.names.includes(name))
    .sort()
    .slice(0, 8);
}

function collectText(value: unknown, into: string[], depth = 0): void {
  if (into.length >= 200 || depth > 6) return;
  if (typeof value === 'string') into.push(value);
  else if (typeof value === 'object' && value !== null) {
    for (const inner of Object.values(value)) collectText(inner, into, depth + 1);
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
