import type { Profile } from '../profile.ts';
import type { PackageManifest } from './manifest.ts';

/** Scripts of the project itself that `npm ci` runs, and which may look at anything. */
const ownScripts: readonly string[] = (
  'preinstall install postinstall prepublish preprepare prepare postprepare ' +
  'predependencies dependencies postdependencies'
).split(' ');

/**
 * Packages whose install scripts look at nothing but themselves and the machine. Of any other
 * nobody here can say: prisma reads the project's schema, nx its workspace, puppeteer its settings.
 */
const selfContained: ReadonlySet<string> = new Set(
  (
    '@parcel/watcher @swc/core bcrypt better-sqlite3 bufferutil canvas core-js core-js-pure ' +
    'cpu-features esbuild fsevents lmdb msgpackr-extract node-sass protobufjs re2 sharp sqlite3 ' +
    'ssh2 unrs-resolver utf-8-validate workerd'
  ).split(' '),
);

/**
 * Everything that `npm ci` looks at, where that is sure; undefined where it may look at more. With
 * these inputs a change of a source file does not install anything anew.
 */
export function installInputs(profile: Profile, manifest: PackageManifest): string[] | undefined {
  const { installs, names } = profile;
  if (installs === undefined || installs.local || manifest.workspaces) return undefined;
  if (ownScripts.some((name) => manifest.scripts.has(name))) return undefined;
  if (!installs.scripts.every((name) => selfContained.has(name))) return undefined;
  // npm builds what has a binding.gyp; and what is in node_modules already it takes away first.
  if (names.includes('binding.gyp') || names.includes('node_modules')) return undefined;
  return ['package.json', 'package-lock.json', 'npm-shrinkwrap.json', '.npmrc'];
}
