import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';

/** The version of the sources. */
export function versionOf(root: string): string {
  const manifest = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as {
    version: string;
  };
  return manifest.version;
}

/** The time of the commit in seconds since 1970, unless SOURCE_DATE_EPOCH says another. */
export function epochOf(root: string): number {
  const named = process.env['SOURCE_DATE_EPOCH'];
  if (named !== undefined) return Number(named);
  return Number(
    execFileSync('git', ['log', '-1', '--format=%ct'], { cwd: root, encoding: 'utf8' }),
  );
}
