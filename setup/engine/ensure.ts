import { OrchestraError } from '#contract/errors.ts';
import { enginePaths } from '../paths.ts';
import type { Progress } from '../progress.ts';
import { findEngine, type FoundEngine } from './find.ts';
import { hasProgram, installPackages, leaveServicesDisabled } from './install.ts';
import { startPrivateEngine } from './private.ts';

/**
 * An engine that answers: one that is there already, used as it is; else Orchestra's own, installed
 * and started for it. An engine that somebody named is never replaced by another.
 */
export async function ensureEngine({
  explicit,
  env,
  progress,
}: {
  explicit?: string;
  env: Readonly<Record<string, string | undefined>>;
  progress: Progress;
}): Promise<FoundEngine> {
  let missing: OrchestraError;
  try {
    return await findEngine({ explicit, env });
  } catch (error) {
    if (!(error instanceof OrchestraError)) throw error;
    missing = error;
  }
  if (explicit !== undefined || (env['DOCKER_HOST'] ?? '') !== '') throw missing;
  if (process.platform !== 'linux' || process.getuid?.() !== 0) throw missing;
  if (!hasProgram('dockerd')) {
    await installPackages(['docker.io'], 'a container engine', progress);
    await leaveServicesDisabled(['docker.service', 'docker.socket', 'containerd.service']);
  }
  return startPrivateEngine(enginePaths(env), progress);
}
