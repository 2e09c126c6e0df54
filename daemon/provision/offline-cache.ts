import { hash, randomUUID } from 'node:crypto';
import { chmod, mkdir, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import cacache from 'cacache';
import { z } from 'zod';
import { freshen } from '../artifacts/freshen.ts';
import { eachInParallel } from './each-in-parallel.ts';
import { publicRegistry } from './npm-config.ts';
import type { PackageList, PinnedPackage } from './package-list.ts';
import { contentPath, type PackageStore } from './package-store.ts';
import { packumentUrl, scopeOf, tarballUrl } from './registry.ts';

/** More would only wait for the threads that Node has for files. */
const parallelMax = 16;

const Manifest = z.strictObject({
  format: z.literal(1),
  content: z.array(z.strictObject({ integrity: z.string(), bytes: z.number() })),
});

/**
 * The folder that a sandbox gets as npm's cache, if it was built before and is whole: every file
 * is there in its size. Their hashes are npm's to check, as it does whenever it unpacks one. Found,
 * it stays at least as long as a run that is open now.
 */
export async function findOfflineCache(folder: string): Promise<{ bytes: number } | undefined> {
  const text = await readFile(join(folder, 'provision.json'), 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    const { content } = Manifest.parse(JSON.parse(text));
    let bytes = 0;
    for (const file of content) {
      const found = await stat(contentPath(join(folder, '_cacache'), file.integrity));
      if (found.size !== file.bytes) return undefined;
      bytes += file.bytes;
    }
    return (await freshen(folder)) ? { bytes } : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Builds that folder beside its place and moves it there whole. It holds exactly what the list
 * pins: the tarballs, and for npm's question about a package the one answer that the lockfile
 * allows. It says nothing about where the packages came from.
 */
export async function buildOfflineCache(
  folder: string,
  list: PackageList,
  store: PackageStore,
): Promise<void> {
  const building = `${folder}.${randomUUID()}.tmp`;
  const cache = join(building, '_cacache');
  try {
    await mkdir(join(cache, 'tmp'), { recursive: true });
    const sizes = new Map<string, number>();
    const hashes = [...new Set(list.packages.map(({ integrity }) => integrity))];
    await eachInParallel(hashes, parallelMax, async (integrity) => {
      await store.linkInto(cache, integrity);
      sizes.set(integrity, await store.size(integrity));
    });
    await writeAnswers(cache, list, sizes);
    const content = [...sizes].map(([integrity, bytes]) => ({ integrity, bytes }));
    await openForSandbox(building);
    await writeFile(join(building, 'provision.json'), JSON.stringify({ format: 1, content }));
    await rm(folder, { recursive: true, force: true });
    await rename(building, folder).catch(async (error: NodeJS.ErrnoException) => {
      // Somebody else built the same one meanwhile: theirs is as good.
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
    });
  } finally {
    await rm(building, { recursive: true, force: true });
  }
}

/** The registries that npm in the sandbox may believe to ask for a package. */
function sandboxRegistries(name: string, list: PackageList): string[] {
  const scope = scopeOf(name);
  const scoped = scope === undefined ? undefined : list.projectRegistries[`${scope}:registry`];
  return scoped === undefined ? [publicRegistry] : [scoped, publicRegistry];
}

/** What npm may ask in the sandbox, and the hash of the content that answers it. */
type Answer = { url: string; accept: string; integrity: string; size: number };

async function writeAnswers(
  cache: string,
  list: PackageList,
  sizes: ReadonlyMap<string, number>,
): Promise<void> {
  const answers = new Map<string, Answer>();
  const say = (url: string, integrity: string, size: number, accept = '*/*') => {
    const { href } = new URL(url);
    answers.set(href, { url: href, accept, integrity, size });
  };
  for (const { resolved, integrity } of list.packages) {
    if (resolved !== undefined) say(resolved, integrity, sizes.get(integrity) ?? 0);
  }
  const versionsOf = [...Map.groupBy(list.packages, ({ name }) => name)];
  await eachInParallel(versionsOf, parallelMax, async ([name, packages]) => {
    for (const registry of sandboxRegistries(name, list)) {
      const text = packumentOf(registry, name, packages);
      const integrity = `sha512-${hash('sha512', text, 'base64')}`;
      const path = contentPath(cache, integrity);
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, text, { mode: 0o444 });
      say(packumentUrl(registry, name), integrity, Buffer.byteLength(text), packumentAccept);
      for (const { version, integrity } of packages) {
        say(tarballUrl(registry, name, version), integrity, sizes.get(integrity) ?? 0);
      }
    }
  });
  await eachInParallel([...answers.values()], parallelMax, (answer) => writeAnswer(cache, answer));
}

function packumentOf(registry: string, name: string, packages: readonly PinnedPackage[]): string {
  const versions = packages.map(({ version, integrity }) => {
    const dist = { tarball: tarballUrl(registry, name, version), integrity };
    return [version, { name, version, dist }] as const;
  });
  const latest = packages.at(-1)?.version ?? '';
  return JSON.stringify({
    name,
    'dist-tags': { latest },
    versions: Object.fromEntries(versions),
  });
}

/** npm takes an answer from its cache only for the very header that it would send. */
const packumentAccept = 'application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*';

/** An entry as make-fetch-happen writes it, which npm uses under its cache. */
async function writeAnswer(cache: string, answer: Answer): Promise<void> {
  const { url, accept, integrity, size } = answer;
  await cacheIndex.insert(cache, `make-fetch-happen:request-cache:${url}`, integrity, {
    size,
    metadata: {
      time: 0,
      url,
      reqHeaders: { accept },
      resHeaders: {},
      options: { compress: true },
    },
  });
}

const cacheIndex = (
  cacache as unknown as {
    index: {
      insert(
        cache: string,
        key: string,
        integrity: string,
        options: { size: number; metadata: unknown },
      ): Promise<unknown>;
    };
  }
).index;

/**
 * The task's user is not the daemon's, and npm replaces files of its index while it reads. Writes
 * end in the layer above, and the folder lies in the daemon's own, which is closed to other users.
 */
async function openForSandbox(folder: string): Promise<void> {
  await chmod(folder, 0o777);
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const folders = entries.filter((entry) => entry.isDirectory());
  await eachInParallel(folders, parallelMax, (entry) =>
    chmod(join(entry.parentPath, entry.name), 0o777),
  );
}
