import { execFile } from 'node:child_process';
import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { stopEngine } from '#setup/engine/control.ts';
import { enginePaths } from '#setup/paths.ts';
import { copyTestImage } from './podman.ts';

const root = new URL('../..', import.meta.url).pathname;

// In a mount namespace of its own, in which the engine is started as everywhere else.
const start = `
mount -t tmpfs hidden "$HIDDEN" && exec "$NODE" --input-type=module -e "
  import { startPrivateEngine } from '$ROOT/setup/engine/private.ts';
  import { enginePaths } from '$ROOT/setup/paths.ts';
  await startPrivateEngine(enginePaths(process.env), () => {});
"`;

/** An engine that finds nothing in `hidden`, a directory of this machine: as if it were another's. */
export async function farEngine(hidden: string): Promise<{ host: string; stop(): Promise<void> }> {
  const dir = realpathSync(mkdtempSync(path.join('/tmp', 'or-')));
  const paths = enginePaths({ ORCHESTRA_ENGINE_DIR: dir });
  const stop = async () => {
    await stopEngine(paths, { force: true, progress: () => {} });
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    await promisify(execFile)(
      'unshare',
      ['--mount', '--propagation', 'private', 'sh', '-c', start],
      {
        env: {
          ...process.env,
          ORCHESTRA_ENGINE_DIR: dir,
          HIDDEN: hidden,
          ROOT: root.replace(/\/$/, ''),
          NODE: process.execPath,
        },
      },
    );
    const host = `unix://${paths.socket}`;
    await copyTestImage(host);
    return { host, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** A directory for `farEngine` to hide, away from where the engine itself is. */
export function hiddenDir(): { dir: string; remove(): void } {
  const dir = realpathSync(mkdtempSync(path.join('/var/tmp', 'of-')));
  return { dir, remove: () => rmSync(dir, { recursive: true, force: true }) };
}
