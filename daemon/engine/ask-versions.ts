import { execFile } from 'node:child_process';
import { isAbsolute } from 'node:path';
import { promisify } from 'node:util';
import type { Component } from './known-escapes.ts';
import { versionIn } from './versions.ts';

const askMs = 2_000;

/**
 * Fills in versions that the engine does not say, by asking the programs themselves. Only for an
 * engine on this machine: the same path elsewhere may be another program.
 */
export async function askVersions(
  components: readonly Component[],
  paths: Readonly<Record<string, string>>,
): Promise<Component[]> {
  return Promise.all(
    components.map(async (component) => {
      const path = paths[component.name];
      if (component.version !== undefined || path === undefined) return component;
      return { ...component, version: await versionOf(path) };
    }),
  );
}

/** What cannot be asked stays unknown, and is told as such. */
async function versionOf(path: string): Promise<string | undefined> {
  if (!isAbsolute(path)) return undefined;
  try {
    const { stdout } = await promisify(execFile)(path, ['--version'], {
      env: {},
      timeout: askMs,
      killSignal: 'SIGKILL',
      maxBuffer: 64 * 1024,
    });
    return versionIn(stdout);
  } catch {
    return undefined;
  }
}
