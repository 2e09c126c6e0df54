import { chmodSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { stopEngine } from '#setup/engine/control.ts';
import { findEngine, parseHost } from '#setup/engine/find.ts';
import { askJson } from '#setup/engine/http.ts';
import { hasProgram } from '#setup/engine/install.ts';
import { startPrivateEngine, type EngineOptions } from '#setup/engine/private.ts';
import { enginePaths } from '#setup/paths.ts';
import { copyTestImage } from './podman.ts';

/** Why tasks cannot be run by this runtime here; undefined when they can. */
export function runtimeMissing(runtime: string): string | undefined {
  if (process.getuid?.() !== 0) return 'only root starts an engine that knows it';
  const missing = ['dockerd', runtime].filter((program) => !hasProgram(program));
  return missing.length === 0 ? undefined : `not installed: ${missing.join(', ')}`;
}

/**
 * An engine that knows the runtime: this machine's where it does, else one of our own beside it,
 * because an engine learns of a runtime only when it starts.
 */
export async function engineWith(
  runtime: string,
): Promise<{ host: string; stop(): Promise<void> }> {
  const found = await findEngine({ env: process.env });
  const info = (await askJson(parseHost(found.host), { path: '/info', timeoutMs: 10_000 })) as {
    Runtimes?: Record<string, unknown>;
  };
  if (found.kind === 'docker' && Object.hasOwn(info.Runtimes ?? {}, runtime)) {
    return { host: found.host, stop: async () => {} };
  }
  return ownEngine();
}

/** An engine of our own beside this machine's, with the test image. */
export async function ownEngine(
  options: EngineOptions = {},
): Promise<{ host: string; dir: string; stop(): Promise<void> }> {
  const dir = realpathSync(mkdtempSync(path.join(tmpdir(), 'or-')));
  const paths = enginePaths({ ORCHESTRA_ENGINE_DIR: dir });
  const stop = async () => {
    await stopEngine(paths, { force: true, progress: () => {} });
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    // A root that is nobody here has to pass through on the way to its image.
    if (options.usersFrom !== undefined) chmodSync(dir, 0o711);
    const { host } = await startPrivateEngine(paths, () => {}, options);
    await copyTestImage(host);
    return { host, dir, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
