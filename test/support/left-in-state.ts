import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { basename, join } from 'node:path';
import { firstKeysOf } from './verify-own.ts';

const root = new URL('../..', import.meta.url).pathname;

/** What should not be in a state directory, or mounted below it, once its daemon has stopped. */
export function leftInState(stateDir: string): string[] {
  return [
    ...mounts([`${stateDir}/`]),
    ...layers(stateDir),
    ...readdirIf(join(stateDir, 'output')).flatMap((run) =>
      readdirIf(join(stateDir, 'output', run)).map((file) => `output file ${run}/${file}`),
    ),
    ...readdirIf(join(stateDir, 'blobs', 'tmp')).map((file) => `half a blob ${file}`),
    ...verified(stateDir),
  ];
}

export function mounts(beneath: readonly string[]): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((place) => beneath.some((dir) => place.startsWith(dir)))
    .map((place) => `mount ${basename(place)}`);
}

/** Directories of layers that no sealed layer names. */
function layers(stateDir: string): string[] {
  const sealed = new Set(
    readdirIf(join(stateDir, 'layers')).map((digest) =>
      basename(readlinkSync(join(stateDir, 'layers', digest))),
    ),
  );
  return readdirIf(join(stateDir, 'l'))
    .filter((id) => !sealed.has(id))
    .map((id) => `layer directory ${id}`);
}

function verified(stateDir: string): string[] {
  try {
    const audit = join(stateDir, 'audit');
    const keys = firstKeysOf(audit).flatMap((key) => ['--key', key]);
    const args = [join(root, 'verifier/main.ts'), audit, ...keys];
    execFileSync(process.execPath, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    return [];
  } catch (error) {
    return [`the log does not verify: ${String((error as { stdout?: unknown }).stdout)}`];
  }
}

export function readdirIf(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}
