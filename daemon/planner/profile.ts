import { installsOf, type Installs } from './installs.ts';

/** One entry of a snapshot, as far as the planner looks at it. */
export type ProfileEntry = { path: string; type: 'file' | 'dir' | 'symlink'; size: number };

/** Gives the content of a file of the snapshot; called for manifests only. */
export type ManifestReader = (path: string) => Promise<Uint8Array>;

/**
 * What the rules look at: names, and the text of manifests. Never the body of a source file, so a
 * plan cannot be steered from there. Plain JSON: its digest goes into the log.
 */
export type Profile = {
  version: 1;
  /** What stands at the top of the workspace, sorted. */
  names: string[];
  /** Where package.json files stand, outside node_modules, nearest first. */
  packages: string[];
  /** Marker files beneath the top that matter: lockfiles beside a package.json. */
  markers: string[];
  texts: Record<string, string>;
  /** Manifests that could not be read, and why. */
  unread: Record<string, string>;
  /** What npm's lockfile at the top says of installing; absent where there is none or it says nothing. */
  installs?: Installs;
};

const namesMax = 2000;
const packagesMax = 64;
const depthMax = 4;
const manifestBytesMax = 1024 * 1024;
const lockfileBytesMax = 16 * 1024 * 1024;

const manifests = [
  'package.json',
  'tsconfig.json',
  'tsconfig.build.json',
  'Makefile',
  'makefile',
  'GNUmakefile',
  'Cargo.toml',
  'go.mod',
  'pyproject.toml',
  'tox.ini',
];
const besidePackage = [
  'package-lock.json',
  'npm-shrinkwrap.json',
  'pnpm-lock.yaml',
  'yarn.lock',
  'bun.lock',
  'bun.lockb',
  'tsconfig.json',
  'tsconfig.build.json',
];

const topOnly = [
  'pnpm-workspace.yaml',
  'rush.json',
  'setup.py',
  'requirements.txt',
  'pom.xml',
  'vendor',
  'build.gradle',
  'build.gradle.kts',
  'settings.gradle',
  'settings.gradle.kts',
  'CMakeLists.txt',
];

/** The profile of a workspace. The order of the entries makes no difference. */
export async function makeProfile(
  entries: Iterable<ProfileEntry>,
  read: ManifestReader,
): Promise<Profile> {
  const names = new Set<string>();
  const packages: string[] = [];
  const files = new Map<string, number>();
  for (const { path, type, size } of entries) {
    // No manifest is called so, and the log has no spelling for it.
    if (!path.isWellFormed()) continue;
    const parts = path.split('/');
    const [top = ''] = parts;
    if (top !== '') names.add(top);
    if (type !== 'file' || parts.length > depthMax || parts.includes('node_modules')) continue;
    const name = parts.at(-1) ?? '';
    if (name === 'package.json') packages.push(path);
    if (manifests.includes(name) || besidePackage.includes(name)) files.set(path, size);
  }
  packages.sort((a, b) => depth(a) - depth(b) || (a < b ? -1 : 1));
  const profile: Profile = {
    version: 1,
    names: boundedNames(names),
    packages: packages.slice(0, packagesMax),
    markers: [],
    texts: {},
    unread: {},
  };
  const folders = packages
    .slice(0, packagesMax)
    .map((path) => path.slice(0, -'package.json'.length));
  profile.markers = folders
    .filter((folder) => folder !== '')
    .flatMap((folder) => besidePackage.map((name) => folder + name))
    .filter((path) => files.has(path))
    .sort();
  const only = profile.packages.includes('package.json') ? [] : folders.slice(0, 1);
  for (const path of ['', ...only].flatMap((folder) => manifests.map((name) => folder + name))) {
    const size = files.get(path);
    if (size === undefined) continue;
    const found = size > manifestBytesMax ? 'larger than 1 MiB' : decode(await read(path));
    if (typeof found === 'string') profile.unread[path] = found;
    else profile.texts[path] = found.text;
  }
  // npm itself prefers the shrinkwrap where both are there.
  const lockfile = ['npm-shrinkwrap.json', 'package-lock.json'].find((path) => files.has(path));
  const isUsed = profile.packages.includes('package.json') && lockfile !== undefined;
  if (isUsed && (files.get(lockfile) ?? 0) <= lockfileBytesMax) {
    const installs = installsOf(await read(lockfile));
    if (installs !== undefined) profile.installs = installs;
  }
  return profile;
}

// Thousands of other files must not push a lockfile out of sight.
function boundedNames(names: ReadonlySet<string>): string[] {
  const known = new Set([...manifests, ...besidePackage, ...topOnly]);
  const telling = [...names].filter((name) => known.has(name));
  const others = [...names].filter((name) => !known.has(name)).sort();
  return [...telling, ...others.slice(0, namesMax - telling.length)].sort();
}

function depth(path: string): number {
  return path.split('/').length;
}

function decode(bytes: Uint8Array): { text: string } | string {
  if (bytes.length > manifestBytesMax) return 'larger than 1 MiB';
  try {
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(bytes) };
  } catch {
    return 'not UTF-8';
  }
}
