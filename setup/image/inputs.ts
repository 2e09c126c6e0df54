import { createHash, randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { OrchestraError } from '#contract/errors.ts';
import { apt } from '../engine/install.ts';
import type { Progress } from '../progress.ts';
import { lastWords, runProgram } from '../run-program.ts';
import type { PinnedPackage } from './description.ts';

const downloadMs = 10 * 60_000;
const packageMax = 400 * 1024 * 1024;

/** The tarball of a pinned npm package, from the cache or by the npm client; always verified. */
export async function npmTarball(
  pinned: PinnedPackage,
  cacheDir: string,
  progress: Progress,
): Promise<Buffer> {
  const file = path.join(cacheDir, 'npm', `${pinned.package.replace('@', '-')}.tgz`);
  const cached = readIfGenuine(file, pinned.integrity);
  if (cached !== undefined) return cached;
  progress(`fetching ${pinned.package}`);
  return inScratch(cacheDir, async (scratch) => {
    try {
      await runProgram(
        'npm',
        ['pack', '--silent', '--ignore-scripts', '--pack-destination', scratch, pinned.package],
        { timeoutMs: downloadMs, cwd: scratch, env: withoutCheckout(process.env) },
      );
    } catch (cause) {
      throw unavailable(pinned.package, 'check that npm reaches its registry: npm ping', cause);
    }
    const [name] = readdirSync(scratch).filter((each) => each.endsWith('.tgz'));
    const bytes = readIfGenuine(path.join(scratch, name ?? ''), pinned.integrity);
    if (name === undefined || bytes === undefined) {
      throw new OrchestraError('package.integrity', `${pinned.package} is not what was pinned`, {
        hint: 'the configured npm registry served other bytes; try another registry',
      });
    }
    mkdirSync(path.dirname(file), { recursive: true });
    renameSync(path.join(scratch, name), file);
    return bytes;
  });
}

export type DebianPackage = {
  name: string;
  version: string;
  tar: Buffer;
  /** Of the package as Debian publishes it. */
  sha256: string;
};

/**
 * Debian packages as the machine's own package lists name them (apt checks their hashes). Nothing is
 * installed, so this needs no root as long as the lists are there.
 */
export async function debianPackages(
  names: readonly string[],
  cacheDir: string,
  progress: Progress,
): Promise<DebianPackage[]> {
  progress(`fetching ${names.join(', ')} from Debian`);
  return inScratch(cacheDir, async (scratch) => {
    const download = async () =>
      runProgram('apt-get', ['-q', 'download', ...names], { timeoutMs: downloadMs, cwd: scratch });
    try {
      await download().catch(async (error: unknown) => {
        if (process.getuid?.() !== 0) throw error;
        progress('bringing the package lists up to date');
        await apt(['update']);
        await download();
      });
    } catch (cause) {
      if (cause instanceof OrchestraError) throw cause;
      throw unavailable(
        names.join(', '),
        'the image is assembled from Debian packages: on Debian or Ubuntu run `apt-get update` as root; elsewhere pull the reference image into your engine by hand',
        cause,
      );
    }
    const debs = readdirSync(scratch).filter((each) => each.endsWith('.deb'));
    return Promise.all(names.map(async (name) => openDeb(scratch, debs, name)));
  });
}

async function openDeb(dir: string, debs: readonly string[], name: string): Promise<DebianPackage> {
  const file = debs.find((each) => each.startsWith(`${name}_`));
  if (file === undefined) throw unavailable(name, 'apt-get download brought no file for it', null);
  const options = { timeoutMs: 60_000, outputMax: packageMax };
  const full = path.join(dir, file);
  const [tar, version] = await Promise.all([
    runProgram('dpkg-deb', ['--fsys-tarfile', full], options),
    runProgram('dpkg-deb', ['--field', full, 'Version'], options),
  ]);
  const sha256 = createHash('sha256').update(readFileSync(full)).digest('hex');
  return { name, version: version.toString('utf8').trim(), tar, sha256 };
}

function readIfGenuine(file: string, integrity: string): Buffer | undefined {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch {
    return undefined;
  }
  const actual = `sha512-${createHash('sha512').update(bytes).digest('base64')}`;
  return actual === integrity ? bytes : undefined;
}

async function inScratch<T>(cacheDir: string, work: (dir: string) => Promise<T>): Promise<T> {
  const scratch = path.join(cacheDir, `tmp-${randomUUID()}`);
  // Nobody else may put anything between what was verified and what is read.
  mkdirSync(scratch, { recursive: true, mode: 0o700 });
  try {
    return await work(scratch);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

// `npm run` hands its own settings down; those of this checkout (engine-strict) are not for a
// package that is only looked into, and one of them may even name another Node.
function withoutCheckout(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const kept = Object.entries(env).filter(
    ([name]) => !/^npm_(package|lifecycle|node|command)/.test(name),
  );
  return {
    ...Object.fromEntries(kept),
    npm_config_engine_strict: 'false',
    npm_config_force: 'false',
  };
}

function unavailable(what: string, hint: string, cause: unknown): OrchestraError {
  return new OrchestraError('package.unavailable', `${what} could not be fetched`, {
    hint,
    ...(cause === null ? {} : { cause, places: lastWords(cause).map((message) => ({ message })) }),
  });
}
