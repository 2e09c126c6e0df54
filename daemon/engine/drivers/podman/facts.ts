import { access, constants } from 'node:fs/promises';
import { z } from 'zod';
import { OrchestraError } from '#contract/errors.ts';
import type { EngineFacts } from '../../engine.ts';
import { runtimeFacts, type RuntimeFacts } from '../../runtime-facts.ts';
import type { EngineAddress } from '../address.ts';
import { asking } from '../errors.ts';
import type { Libpod } from './api.ts';
import { known } from './oci.ts';

/** What Podman says about itself; refuses a Podman that cannot confirm what a sandbox gets. */
export async function podmanFacts(
  compatible: EngineFacts,
  address: EngineAddress,
  libpod: Libpod,
): Promise<EngineFacts> {
  const cannot = (why: string, hint: string) =>
    new OrchestraError(
      'engine.unavailable',
      `Podman ${compatible.version} cannot confirm what a sandbox gets: ${why}`,
      { hint },
    );
  if (!('socketPath' in address)) {
    throw cannot('it is reached over a network', 'run orchestrad on the machine of the engine');
  }
  if (!/^(?:[4-9]|[1-9]\d+)\./.test(compatible.version)) {
    throw cannot('it is older than 4.0', 'use Podman 4 or Docker');
  }
  const info = await asking('describe itself', async () =>
    known(Info, await libpod({ method: 'GET', path: '/info' })),
  );
  try {
    await access(info.store.graphRoot, constants.R_OK | constants.X_OK);
  } catch {
    throw cannot(
      'its storage cannot be read by this user, or lies on another machine',
      'run orchestrad as the user whose Podman it uses, on the same machine',
    );
  }
  const has = (controller: string) => info.host.cgroupControllers.includes(controller);
  const limits = {
    memory: compatible.limits.memory && has('memory'),
    swap: compatible.limits.swap && has('memory'),
    pids: compatible.limits.pids && has('pids'),
    cpu: compatible.limits.cpu && has('cpu'),
  };
  if (!limits.memory || !limits.pids || !limits.cpu) {
    throw cannot(
      'it enforces no limits here (rootless with cgroup v1, or controllers not delegated)',
      'use a Podman of root, or cgroup v2 with memory, pids and cpu delegated to this user',
    );
  }
  // The others are only names in its configuration, there or not.
  return { ...compatible, ...onlyRuntime(compatible), limits };
}

function onlyRuntime({ defaultRuntime: runtime, components = [] }: EngineFacts) {
  const facts = runtimeFacts(runtime);
  return {
    runtimes: [runtime],
    components: components.filter(
      ({ name }) => name === runtime || runtimeFacts(name).family === 'unknown',
    ),
    // Podman has overlays mounted by the runtime itself, which keeps what it is told.
    runtimeFacts: {
      [runtime]:
        facts.family === 'crun'
          ? { ...facts, keepsVolumeFlags: true, remarks: withoutVolumes(facts) }
          : facts,
    },
  };
}

const withoutVolumes = ({ remarks }: RuntimeFacts) =>
  remarks.filter((remark) => !remark.startsWith('a volume'));

export const Info = z.object({
  host: z.object({
    cgroupControllers: z
      .array(z.string())
      .nullish()
      .transform((names) => names ?? []),
  }),
  store: z.object({ graphRoot: z.string() }),
});
