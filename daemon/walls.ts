import { join } from 'node:path';
import type { EngineFacts } from './engine/engine.ts';
import { loadedModules, type LoadedModules } from './engine/lsm.ts';
import { readSeccompProfile } from './policy/seccomp.ts';
import type { Walls } from './policy/walls.ts';

/** The names under which `policies/` ships them. */
export const shippedProfile = 'orchestra-sandbox';
export const shippedType = 'orchestra_sandbox_t';

/**
 * What sandboxes are locked in with on this machine: our own profiles where they are there, else
 * those of the engine. Throws when the seccomp profile cannot be used.
 */
export async function findWalls(
  facts: Pick<EngineFacts, 'kind' | 'seccomp' | 'apparmor' | 'selinux'>,
  policiesDir: string,
  modules: LoadedModules = loadedModules(),
): Promise<Walls> {
  const seccomp = await readSeccompProfile(join(policiesDir, 'seccomp.json'));
  return {
    seccomp: facts.seccomp ? seccomp : undefined,
    apparmor: facts.apparmor ? await profileFor(facts.kind, modules) : undefined,
    selinux: facts.selinux && (await modules.hasType(shippedType)) ? shippedType : undefined,
  };
}

async function profileFor(
  kind: EngineFacts['kind'],
  modules: LoadedModules,
): Promise<string | undefined> {
  if (await modules.hasProfile(shippedProfile)) return shippedProfile;
  // Podman loads one of its own and names it after its version.
  return kind === 'podman' ? undefined : 'docker-default';
}
