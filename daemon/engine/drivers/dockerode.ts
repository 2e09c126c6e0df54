import { Agent } from 'node:http';
import { inspect } from 'node:util';
import Docker, {
  type ContainerCreateOptions,
  type ContainerInspectInfo,
  type VolumeInspectInfo,
} from 'dockerode';
import { OrchestraError } from '#contract/errors.ts';
import type {
  Adopted,
  ContainerExit,
  ContainerState,
  Created,
  Engine,
  EngineFacts,
  HostFacts,
  ImageFacts,
  Started,
} from '../engine.ts';
import { parseAddress } from './address.ts';
import { openArchives } from './archive.ts';
import { openAttachments } from './attach.ts';
import { followOnce, foundAs, statusFrom } from './adopt.ts';
import { effectiveOf } from './effective.ts';
import { asking, missingIsUndefined, statusOf } from './errors.ts';
import { releaseScript } from '../gate.ts';
import { onThisMachine } from '../users.ts';
import { engineFacts } from './facts.ts';
import { createOptions } from './translate.ts';
import { firstOf } from './processes.ts';
import { openUsage } from './usage.ts';

/** Longest silence of the engine within one answer; each verb has a shorter deadline above this. */
const silenceMs = 120_000;
const imagesRemembered = 64;

/** Docker or Podman by the compatible API. Never used bare: `open.ts` wraps it into the guard. */
export function dockerodeEngine({ host, facts }: { host: string; facts: HostFacts }): Engine {
  const address = parseAddress(host);
  // A connection that the engine closes at the wrong moment would lose the answer of an act.
  const agent = new QuietAgent({ keepAlive: false });
  const attachments = openAttachments(address);
  const archives = openArchives(address);
  const docker = connect(host, agent, silenceMs);
  const patient = connect(host, agent, undefined);
  const usage = openUsage(docker);
  const imageEnv = rememberImageEnv(docker);
  const idsFrom = rememberUsers(docker);

  return {
    facts: async () => asking('describe itself', async () => engineFacts(docker)),

    async findImage(reference): Promise<ImageFacts | undefined> {
      return asking('look for an image', async () => {
        const found = await missingIsUndefined(docker.getImage(reference).inspect());
        return (
          found && {
            reference,
            id: found.Id.startsWith('sha256:') ? found.Id : `sha256:${found.Id}`,
            os: found.Os,
            arch: found.Architecture,
            labels: found.Config.Labels ?? {},
            repoDigests: found.RepoDigests ?? [],
          }
        );
      });
    },

    async create({ spec }): Promise<Created> {
      const env = await imageEnv(spec.image.id);
      return asking('create a sandbox', async () => {
        // Said apart, or the library puts all of it into the address as well, seccomp profile and all.
        const { name, ...body } = createOptions(spec, facts, env);
        const asked = { _query: { name }, _body: body } as ContainerCreateOptions;
        const container = await docker.createContainer(asked);
        const found = await container.inspect();
        const volumes = await inspectVolumes(docker, found);
        return { id: container.id, effective: effectiveOf(found, volumes) };
      });
    },

    async fill(id, { spec: { user } }, { target, tar }) {
      // By the numbers of the sandbox, or of the engine's machine: engines differ in which they tell.
      const owners = [user, onThisMachine(user, await idsFrom())];
      await archives.put(id, { target, tar, owners });
    },

    readBack: async (id, target) => archives.get(id, target),

    attach: async (id) => attachments.attach(id),

    async start(id): Promise<Started> {
      return asking('start a sandbox', async () => {
        const container = docker.getContainer(id);
        await container.start();
        // The kernel's account names it without another question to the engine.
        const first = await firstOf(usage.processes(id));
        if (first !== undefined) return { pid: first };
        const { State: state } = await container.inspect();
        return { pid: state.Pid > 0 ? state.Pid : undefined };
      });
    },

    release: async (id, { spec }, _context, given) =>
      attachments.send(id, releaseScript(spec, given)),

    async wait(id, signal): Promise<ContainerExit> {
      return asking('wait for a sandbox', async () => {
        // A task may be silent for hours: this one call has no limit but its signal.
        const container = patient.getContainer(id);
        const options = signal === undefined ? {} : { abortSignal: signal };
        const answer = (await container.wait(options)) as { StatusCode: number };
        const { State: state } = await docker.getContainer(id).inspect();
        if (state.Status !== 'exited' && state.Status !== 'dead') {
          throw new OrchestraError('engine.failed', 'The engine says a running sandbox has exited');
        }
        return {
          by: 'engine',
          exitCode: exitCodeOf(answer.StatusCode),
          oomKilled: state.OOMKilled,
          startedAt: state.StartedAt,
          finishedAt: state.FinishedAt,
        };
      });
    },

    usage: async (id) => asking('report usage', async () => usage.read(id)),

    async signal(id, name) {
      await asking('signal a sandbox', async () => {
        // 404: it is gone. 409: it is not running. Both are what a signal is for.
        await ignoring([404, 409], docker.getContainer(id).kill({ signal: name }));
      });
    },

    async freeze(id) {
      await asking('freeze a sandbox', async () => {
        // 404: it is gone. 409: it stands still already, or is over.
        await ignoring([404, 409], docker.getContainer(id).pause());
      });
    },

    async thaw(id) {
      await asking('thaw a sandbox', async () => {
        try {
          await ignoring([404, 409], docker.getContainer(id).unpause());
        } catch (error) {
          // Docker 20.10 answers 500 where nothing is to be thawed.
          if ((await statusNow(docker, id)) === 'paused') throw error;
        }
      });
    },

    async adopt(id): Promise<Adopted | undefined> {
      return asking('inspect a sandbox', async () => {
        const found = await missingIsUndefined(docker.getContainer(id).inspect());
        const status = found && foundAs(statusFrom(found.State.Status));
        if (found === undefined || status === undefined) return undefined;
        const volumes = await inspectVolumes(docker, found);
        return {
          id: found.Id,
          effective: effectiveOf(found, volumes),
          found: status,
          pid: found.State.Pid > 0 ? found.State.Pid : undefined,
          attached: followOnce(status, {
            follow: async () => attachments.follow(found.Id),
            isFrozen: async () => (await statusNow(docker, found.Id)) === 'paused',
          }),
          isOutputCut: true,
        };
      });
    },

    async remove(id) {
      usage.forget(id);
      attachments.forget(id);
      await asking('remove a sandbox', async () => {
        const container = docker.getContainer(id);
        // 409: another removal is under way; then this one waits until it is gone.
        const isBusy = await ignoring([404, 409], container.remove({ force: true, v: true }));
        if (isBusy === 409) await ignoring([404], container.wait({ condition: 'removed' }));
      });
    },

    async list(labels): Promise<ContainerState[]> {
      return asking('list its containers', async () => {
        const filters = {
          label: Object.entries(labels).map(([name, value]) => `${name}=${value}`),
        };
        const found = await docker.listContainers({ all: true, filters });
        return found.map((one) => ({
          id: one.Id,
          name: (one.Names[0] ?? '').replace(/^\//, ''),
          status: statusFrom(one.State),
          labels: one.Labels,
          createdAt: new Date(one.Created * 1000).toISOString(),
          exitCode: undefined,
        }));
      });
    },

    close: () => agent.destroy(),
  };
}

/**
 * The client library writes every request out for its debug log, whether anybody reads that or not,
 * and with it the agent and all its sockets: a tenth of the processor time of a small task.
 */
class QuietAgent extends Agent {
  [inspect.custom](): string {
    return 'Agent';
  }
}

/**
 * Everything is said explicitly: what is left out, the library takes from DOCKER_HOST and its
 * companions, and a host named there would win over our socket.
 */
function connect(host: string, agent: Agent, timeout: number | undefined): Docker {
  const address = parseAddress(host);
  const nothing = {
    socketPath: undefined,
    host: undefined,
    port: undefined,
    username: undefined,
    ca: undefined,
    cert: undefined,
    key: undefined,
    version: undefined,
  };
  try {
    return new Docker({
      ...nothing,
      ...address,
      protocol: 'http',
      pathPrefix: '/',
      timeout,
      agent,
    } as unknown as Docker.DockerOptions);
  } catch (cause) {
    throw new OrchestraError('config.invalid', 'The environment for Docker cannot be read', {
      hint: 'correct or unset DOCKER_HOST and DOCKER_CERT_PATH',
      cause,
    });
  }
}

/** An engine maps its users for as long as it runs as when it began. */
function rememberUsers(docker: Docker): () => Promise<Pick<EngineFacts, 'usersFrom'>> {
  let known: Pick<EngineFacts, 'usersFrom'> | undefined;
  return async () => (known ??= await engineFacts(docker));
}

/** An image named by its digest never changes, so its variables are asked for once. */
function rememberImageEnv(docker: Docker): (id: string) => Promise<readonly string[]> {
  const known = new Map<string, readonly string[]>();
  return async (id) => {
    const remembered = known.get(id);
    if (remembered !== undefined) return remembered;
    const found = await asking('look for an image', async () =>
      missingIsUndefined(docker.getImage(id).inspect()),
    );
    if (found === undefined) {
      throw new OrchestraError('image.unknown', 'The image of the sandbox is not on the engine', {
        hint: 'orchestra image ls',
      });
    }
    if (known.size >= imagesRemembered) known.clear();
    const env = found.Config.Env ?? [];
    known.set(id, env);
    return env;
  };
}

async function inspectVolumes(
  docker: Docker,
  found: ContainerInspectInfo,
): Promise<Map<string, VolumeInspectInfo>> {
  const names = found.Mounts.flatMap((mount) =>
    (mount.Type as string) === 'volume' && mount.Name !== undefined ? [mount.Name] : [],
  );
  const volumes = await Promise.all(names.map(async (name) => docker.getVolume(name).inspect()));
  return new Map(volumes.map((volume) => [volume.Name, volume]));
}

async function statusNow(
  docker: Docker,
  id: string,
): Promise<ContainerState['status'] | undefined> {
  const found = await missingIsUndefined(docker.getContainer(id).inspect());
  return found && statusFrom(found.State.Status);
}

/** Gives back the status that was ignored, undefined when the call went through. */
async function ignoring(
  statuses: readonly number[],
  call: Promise<unknown>,
): Promise<number | undefined> {
  try {
    await call;
    return undefined;
  } catch (error) {
    const status = statusOf(error);
    if (status === undefined || !statuses.includes(status)) throw error;
    return status;
  }
}

function exitCodeOf(code: number): number {
  if (Number.isInteger(code) && code >= 0 && code <= 255) return code;
  throw new OrchestraError('engine.failed', 'The engine reported no exit code');
}
