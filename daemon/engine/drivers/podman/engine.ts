import { readFile } from 'node:fs/promises';
import { Agent } from 'node:http';
import { z } from 'zod';
import { OrchestraError } from '#contract/errors.ts';
import type { SandboxSpec } from '../../../policy/spec.ts';
import type {
  Adopted,
  ContainerExit,
  Created,
  Effective,
  Engine,
  HostFacts,
} from '../../engine.ts';
import { parseAddress } from '../address.ts';
import { followOnce, foundAs, statusFrom } from '../adopt.ts';
import { openAttachments } from '../attach.ts';
import { dockerodeEngine } from '../dockerode.ts';
import { asking, missingIsUndefined, statusOf } from '../errors.ts';
import { openLibpod, parseJson, type Libpod } from './api.ts';
import { specGenerator } from './create.ts';
import { effectiveOf } from './effective.ts';
import { Ended, exitCodeOf } from './ended.ts';
import { podmanFacts } from './facts.ts';
import { Inspected, known, OciConfig } from './oci.ts';
import { openOomWatch } from './oom.ts';
import { writeSeccompFile } from './seccomp-files.ts';

const silenceMs = 120_000;
const configMax = 4 * 1024 * 1024;

export type PodmanParts = { host: string; facts: HostFacts; dir: string };

/**
 * Podman by its own API where the compatible one cannot say or confirm enough, else by that one.
 *
 * `create` also prepares the container: namespaces, mounts and limits are made, and the runtime
 * waits before the first program. Only then the configuration exists that the runtime was given,
 * and it is that one which is read back, from the engine's own directory.
 */
export function podmanEngine({ host, facts, dir }: PodmanParts): Engine {
  const address = parseAddress(host);
  const agent = new Agent({ keepAlive: false });
  const libpod = openLibpod(address, agent, silenceMs);
  const patient = openLibpod(address, agent, 0);
  const compatible = dockerodeEngine({ host, facts });
  const oom = openOomWatch();
  const attachments = openAttachments(address);

  // One that is in another state than it takes is answered with 500: only what it is now tells.
  const pausing = async (what: 'freeze' | 'thaw', id: string): Promise<void> => {
    await asking(`${what} a sandbox`, async () => {
      try {
        await call(libpod, `/containers/${id}/${what === 'freeze' ? 'pause' : 'unpause'}`);
      } catch (error) {
        if (statusOf(error) === undefined) throw error;
        const state = await inspected(libpod, id);
        if (state === (what === 'freeze' ? 'running' : 'paused')) throw error;
      }
    });
  };

  return {
    ...compatible,

    facts: async () => podmanFacts(await compatible.facts(), address, libpod),

    async create({ spec }): Promise<Created> {
      const seccompFile = await writeSeccompFile(dir, spec.seccomp);
      const id = await explained(async () => {
        const id = await make(libpod, specGenerator(spec, facts, seccompFile));
        await call(libpod, `/containers/${id}/init`);
        return id;
      });
      return asking('inspect a sandbox', async () => {
        const answer = await libpod({ method: 'GET', path: `/containers/${id}/json` });
        const found = known(Inspected, answer);
        await oom.prepare(id, found.State.Pid);
        return { id, effective: await readEffective(found, spec) };
      });
    },

    async start(id, context) {
      oom.start(id);
      return compatible.start(id, context);
    },

    async wait(id, signal): Promise<ContainerExit> {
      return asking('wait for a sandbox', async () => {
        await patient({ method: 'POST', path: `/containers/${id}/wait?${waitOptions}` }, signal);
        const oomKilled = await oom.ended(id);
        const answer = await libpod({ method: 'GET', path: `/containers/${id}/json` });
        const ended = known(Ended, answer);
        const { State: state } = ended;
        return {
          by: 'engine',
          exitCode: exitCodeOf(ended),
          oomKilled: oomKilled || state.OOMKilled,
          startedAt: state.StartedAt,
          finishedAt: state.FinishedAt,
        };
      });
    },

    async signal(id, name, context) {
      try {
        await compatible.signal(id, name, context);
      } catch (error) {
        // Podman answers 500 where Docker says 409: it is not running.
        if (!(await isOver(libpod, id))) throw error;
      }
    },

    async freeze(id) {
      await pausing('freeze', id);
    },

    async thaw(id) {
      await pausing('thaw', id);
    },

    async adopt(id, { spec }): Promise<Adopted | undefined> {
      return asking('inspect a sandbox', async () => {
        const answer = await missingIsUndefined(
          libpod({ method: 'GET', path: `/containers/${id}/json` }),
        );
        if (answer === undefined) return undefined;
        const found = known(Inspected, answer);
        const status = foundAs(statusFrom(found.State.Status));
        if (status === undefined) return undefined;
        if (status !== 'exited') {
          await oom.prepare(found.Id, found.State.Pid);
          oom.start(found.Id);
        }
        return {
          id: found.Id,
          effective: await readEffective(found, spec, true),
          found: status,
          pid: found.State.Pid > 0 ? found.State.Pid : undefined,
          attached: followOnce(status, {
            follow: async () => attachments.follow(found.Id),
            isFrozen: async () => (await inspected(libpod, found.Id)) === 'paused',
          }),
          isOutputCut: true,
        };
      });
    },

    async remove(id, context) {
      oom.forget(id);
      await compatible.remove(id, context);
    },

    close() {
      compatible.close();
      agent.destroy();
    },
  };
}

// Podman looks in intervals, by itself every quarter of a second.
const waitOptions = new URLSearchParams({ condition: 'exited', interval: '50ms' }).toString();

const Made = z.object({ Id: z.string().regex(/^[0-9a-f]{64}$/) });

async function make(libpod: Libpod, spec: { name: string }): Promise<string> {
  try {
    return known(Made, await call(libpod, '/containers/create', spec)).Id;
  } catch (error) {
    // Podman answers 500 to a name that is taken, as to everything else, and leaves nothing behind
    // when it fails: what has the name now is another container.
    if (statusOf(error) === undefined || !(await exists(libpod, spec.name))) throw error;
    throw new OrchestraError('engine.conflict', 'The name of the sandbox is taken', {
      cause: error,
    });
  }
}

async function exists(libpod: Libpod, name: string): Promise<boolean> {
  return (await inspected(libpod, name)) !== undefined;
}

async function isOver(libpod: Libpod, id: string): Promise<boolean> {
  return ['exited', 'stopped', undefined].includes(await inspected(libpod, id));
}

/** The state of a container; undefined when there is none. */
async function inspected(libpod: Libpod, name: string): Promise<string | undefined> {
  const asked = libpod({ method: 'GET', path: `/containers/${name}/json` });
  const answer = await missingIsUndefined(asked);
  return answer === undefined
    ? undefined
    : known(z.object({ State: z.object({ Status: z.string() }) }), answer).State.Status;
}

async function call(libpod: Libpod, at: string, body?: unknown): Promise<unknown> {
  return libpod({ method: 'POST', path: at, ...(body === undefined ? {} : { body }) });
}

async function explained<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await asking('create a sandbox', work);
  } catch (error) {
    if (!(error instanceof OrchestraError) || error.code !== 'engine.failed') throw error;
    throw new OrchestraError(error.code, error.message, {
      hint: 'Podman needs `catatonit` and a runtime that works here; `podman run --init` tells more',
      cause: error.cause,
    });
  }
}

async function readEffective(
  found: Inspected,
  spec: SandboxSpec,
  isAdopted = false,
): Promise<Effective> {
  let text: string;
  try {
    text = await readFile(found.OCIConfigPath, 'utf8');
  } catch (cause) {
    throw new OrchestraError('engine.failed', 'What Podman made cannot be read back', {
      hint: 'run orchestrad as the user whose Podman it uses, on the same machine',
      cause,
    });
  }
  if (text.length > configMax) {
    throw new OrchestraError('engine.failed', 'What Podman made is too long to be read back');
  }
  return effectiveOf(found, known(OciConfig, parseJson(text)), spec, isAdopted);
}
