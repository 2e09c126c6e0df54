import path from 'node:path';
import { z } from 'zod';
import { OrchestraError } from '#contract/errors.ts';
import { enginePaths } from '../paths.ts';
import { ask, askJson, readText, type Endpoint } from './http.ts';

type EngineOrigin = 'flag' | 'DOCKER_HOST' | 'default' | 'podman' | 'private';

type EngineCandidate = { host: string; origin: EngineOrigin };

export type FoundEngine = {
  /** `unix:///path` or `tcp://host:port`. */
  host: string;
  /** Present when `host` is a unix socket. */
  socketPath?: string;
  kind: 'docker' | 'podman';
  origin: EngineOrigin;
  version: string;
  apiVersion: string;
};

type Refusal = { candidate: EngineCandidate; cause: unknown };

type Env = Readonly<Record<string, string | undefined>>;

/**
 * Where an engine may be, best first. What somebody named (a flag, then DOCKER_HOST) stands alone:
 * falling back from it would run tasks on an engine that nobody chose.
 */
export function findEngines(env: Env, explicit?: string): EngineCandidate[] {
  if (explicit !== undefined) return [{ host: explicit, origin: 'flag' }];
  const named = env['DOCKER_HOST'];
  if (named !== undefined && named !== '') return [{ host: named, origin: 'DOCKER_HOST' }];
  const runtimeDir = env['XDG_RUNTIME_DIR'];
  const podman = runtimeDir !== undefined && path.isAbsolute(runtimeDir) ? [runtimeDir] : [];
  return [
    { host: 'unix:///var/run/docker.sock', origin: 'default' },
    ...[...podman, '/run'].map((dir): EngineCandidate => ({
      host: `unix://${path.join(dir, 'podman/podman.sock')}`,
      origin: 'podman',
    })),
    { host: `unix://${enginePaths(env).socket}`, origin: 'private' },
  ];
}

/** The first candidate that answers. Throws `engine.unavailable` with each reason and the remedy. */
export async function findEngine({
  explicit,
  env,
  timeoutMs = 5_000,
}: {
  explicit?: string | undefined;
  env: Env;
  /** For each answer of each candidate. */
  timeoutMs?: number;
}): Promise<FoundEngine> {
  const refusals: Refusal[] = [];
  for (const candidate of findEngines(env, explicit)) {
    try {
      return await identify(candidate, timeoutMs);
    } catch (cause) {
      refusals.push({ candidate, cause });
    }
  }
  throw noEngine(refusals);
}

/** Turns an engine address into what node:http needs. Throws a plain error that says why not. */
export function parseHost(host: string): Endpoint {
  if (host.startsWith('unix://')) {
    const socketPath = host.slice('unix://'.length);
    if (!path.isAbsolute(socketPath) || socketPath.includes('\0')) {
      throw new Error('the socket path is not absolute');
    }
    return { socketPath };
  }
  if (path.isAbsolute(host) && !host.includes('\0')) return { socketPath: host };
  const url = URL.parse(host);
  if (url?.protocol === 'ssh:') {
    throw new Error(
      'ssh:// is not spoken; forward the socket with `ssh -N -L`, then name that one',
    );
  }
  if (url === null || !['tcp:', 'http:'].includes(url.protocol) || url.hostname === '') {
    throw new Error('not an engine address; write unix:///path or tcp://host:port');
  }
  return {
    hostname: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? 2375 : Number(url.port),
  };
}

const Version = z.object({
  Version: z.string().max(200),
  ApiVersion: z.string().max(50),
  Components: z.array(z.object({ Name: z.string() })).optional(),
});

async function identify(
  { host, origin }: EngineCandidate,
  timeoutMs: number,
): Promise<FoundEngine> {
  const endpoint = parseHost(host);
  const ping = await ask(endpoint, { path: '/_ping', timeoutMs });
  const pong = await readText(ping, timeoutMs);
  if (ping.statusCode !== 200) {
    throw new Error(`answered ${ping.statusCode ?? 0} to a ping: ${pong.slice(0, 200)}`);
  }
  const answer = await askJson(endpoint, { path: '/version', timeoutMs });
  const version = Version.safeParse(answer);
  if (!version.success) throw new Error('answers, but not like a container engine');
  const names = (version.data.Components ?? []).map((component) => component.Name);
  return {
    host: 'socketPath' in endpoint ? `unix://${endpoint.socketPath}` : host,
    ...('socketPath' in endpoint ? { socketPath: endpoint.socketPath } : {}),
    kind: names.some((name) => name.startsWith('Podman')) ? 'podman' : 'docker',
    origin,
    version: version.data.Version,
    apiVersion: version.data.ApiVersion,
  };
}

function reason(cause: unknown): string {
  const code = (cause as NodeJS.ErrnoException).code;
  switch (code) {
    case 'ENOENT':
      return 'there is no such socket';
    case 'ECONNREFUSED':
      return 'nobody listens there (a stale socket, or the engine is stopped)';
    case 'EACCES':
    case 'EPERM':
      return 'this user may not use that socket';
    default:
      return cause instanceof Error ? cause.message : String(cause);
  }
}

function noEngine(refusals: readonly Refusal[]): OrchestraError {
  const places = refusals.map(({ candidate, cause }) => ({
    message: `${candidate.host}: ${reason(cause)}`,
  }));
  const forbidden = (origin: EngineOrigin) =>
    refusals.some(({ candidate, cause }) => candidate.origin === origin && isForbidden(cause));
  const origin = refusals[0]?.candidate.origin;
  if (origin === 'flag' || origin === 'DOCKER_HOST') {
    const source = origin === 'flag' ? '--engine (or engine: in the settings)' : 'DOCKER_HOST';
    return new OrchestraError(
      'engine.unavailable',
      `The engine that ${source} names does not answer`,
      {
        hint: `start it (systemctl start docker), correct ${source}, or leave it out to let Orchestra look for an engine`,
        places,
      },
    );
  }
  const hint = forbidden('default')
    ? 'let this user use Docker: sudo usermod -aG docker USER, then log in again'
    : forbidden('private')
      ? 'only root may use Orchestra’s own engine: run this as root, or set DOCKER_HOST to another'
      : 'start one (systemctl start docker, or `podman system service`), install one (apt install docker.io; in a checkout: npm run setup), or set DOCKER_HOST';
  return new OrchestraError(
    'engine.unavailable',
    'No container engine answers that this user may use',
    { hint, places },
  );
}

function isForbidden(cause: unknown): boolean {
  const code = (cause as NodeJS.ErrnoException).code;
  return code === 'EACCES' || code === 'EPERM';
}
