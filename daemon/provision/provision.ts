import { join } from 'node:path';
import { OrchestraError } from '#contract/errors.ts';
import type { Actor } from '#contract/records.ts';
import type { Log } from '../audit/types.ts';
import { newRequestId } from '../base/ids.ts';
import { fetchPackage } from './fetch-package.ts';
import { HostRules } from './host-rules.ts';
import { publicRegistry, type NpmConfig } from './npm-config.ts';
import { buildOfflineCache, findOfflineCache } from './offline-cache.ts';
import type { PackageList, PinnedPackage, ProvisionPolicy } from './package-list.ts';
import { PackageStore } from './package-store.ts';
import { RegistryClient, tooLarge, type Resolve } from './registry-client.ts';
import { failpoint } from '../base/failpoints.ts';

const fetchesMax = 8;

export type ProvisionOptions = {
  list: PackageList;
  policy: ProvisionPolicy;
  npmConfig: NpmConfig;
  /** The store that all runs share, such as `STATE/packages`. Nobody but the daemon may enter it. */
  cacheDir: string;
  log: Pick<Log, 'append'>;
  run?: string;
  actor?: Actor;
  signal: AbortSignal;
  /** How names are resolved; as the system does unless told otherwise. */
  resolve?: Resolve;
};

export type Provisioned = {
  /** To be mounted as npm's cache folder, below a writable layer of the task's own. */
  dir: string;
  packages: number;
  /** How many were fetched now; 0 means that nothing was asked of the network. */
  fetched: number;
  /** Of all the packages, fetched now or before. */
  bytes: number;
  /** What npm in the sandbox has to be told, besides `npm_config_cache`: where `dir` is mounted. */
  env: Readonly<Record<string, string>>;
};

/**
 * Makes ready what a list pins. Each fetch is recorded before it begins and after it ended; what
 * is in the store already is linked, not fetched. Safe to repeat and to run several times at once;
 * the first failure stops the others, and what was fetched well until then stays in the store.
 * Rejects with `package.integrity`, `package.host_denied`, `package.unavailable` or
 * `package.unsupported` (too large), and with the signal's reason once that aborts.
 */
export async function provision(options: ProvisionOptions): Promise<Provisioned> {
  const { list, cacheDir, log, signal } = options;
  const about = { run: options.run, actor: options.actor };
  signal.throwIfAborted();
  await log.append({
    type: 'provision.requested',
    data: {
      kind: list.kind,
      lockfile: list.lockfile,
      packages: list.packages.length,
      hosts: list.hosts.slice(0, 512),
    },
    ...about,
  });
  const finish = async (outcome: 'ok' | 'failed', fetched: number, bytes: number) => {
    const data = { kind: list.kind, packages: list.packages.length, fetched, bytes, outcome };
    await log.append({ type: 'provision.finished', data, outcome, ...about });
  };

  const dir = join(cacheDir, 'caches', list.key.slice('sha256:'.length));
  const result = { dir, packages: list.packages.length, env: sandboxEnv() };
  const ready = await findOfflineCache(dir);
  if (ready !== undefined) {
    await finish('ok', 0, ready.bytes);
    return { ...result, fetched: 0, bytes: ready.bytes };
  }
  const counts = { fetched: 0, bytes: 0 };
  try {
    const store = new PackageStore(join(cacheDir, 'store'));
    await fetchMissing(options, store, counts);
    await buildOfflineCache(dir, list, store);
  } catch (error) {
    await finish('failed', counts.fetched, counts.bytes);
    throw error;
  }
  await finish('ok', counts.fetched, counts.bytes);
  return { ...result, ...counts };
}

/** Settings that keep npm from asking anybody. They win over a project's own `.npmrc`. */
function sandboxEnv(): Record<string, string> {
  return {
    npm_config_registry: publicRegistry,
    npm_config_offline: 'true',
    npm_config_audit: 'false',
    npm_config_fund: 'false',
    npm_config_update_notifier: 'false',
  };
}

async function fetchMissing(
  options: ProvisionOptions,
  store: PackageStore,
  counts: { fetched: number; bytes: number },
): Promise<void> {
  const { list, policy, npmConfig } = options;
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  const rules = new HostRules(policy.registries, npmConfig);
  const client = new RegistryClient(rules, npmConfig, {
    socketsMax: fetchesMax,
    resolve: options.resolve,
  });

  const waiting = [...new Map(list.packages.map((found) => [found.integrity, found])).values()];
  const findOrFetch = async (wanted: PinnedPackage) => {
    const found = await store.sizeOf(wanted.integrity);
    if (found !== undefined && (await store.check(wanted.integrity))) return found;
    const bytesMax = Math.min(policy.packageBytes, policy.totalBytes - counts.bytes);
    const bytes = await fetchRecorded(wanted, bytesMax, { options, client, store, signal });
    counts.fetched += 1;
    failpoint('after-package-fetched');
    return bytes;
  };
  const work = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      signal.throwIfAborted();
      const bytes = await findOrFetch(next);
      counts.bytes += bytes;
      if (counts.bytes > policy.totalBytes) throw tooLarge(next, policy.totalBytes);
    }
  };
  try {
    const workers = Array.from({ length: fetchesMax }, async () => {
      try {
        await work();
      } catch (error) {
        stop.abort(error);
        throw error;
      }
    });
    // All of them have to end before the caller goes on, the failed one's neighbours too.
    await Promise.allSettled(workers);
    options.signal.throwIfAborted();
    signal.throwIfAborted();
  } finally {
    client.close();
  }
}

async function fetchRecorded(
  wanted: PinnedPackage,
  bytesMax: number,
  to: {
    options: ProvisionOptions;
    client: RegistryClient;
    store: PackageStore;
    signal: AbortSignal;
  },
): Promise<number> {
  const { log, run, actor } = to.options;
  const { name, version, integrity, url } = wanted;
  const data = { name, version, host: new URL(url).host, integrity };
  const entry = { type: 'package.fetched', req: newRequestId(), run, actor } as const;
  await log.append({ ...entry, stage: 'intent', data });
  try {
    const { bytes, host } = await fetchPackage(wanted, { ...to, bytesMax });
    await log.append({ ...entry, stage: 'result', data: { ...data, host, bytes } });
    return bytes;
  } catch (error) {
    // A neighbour's failure stops this one: the reason is not this package's.
    const isStopped = to.signal.aborted && error === to.signal.reason;
    const reason = isStopped ? 'stopped' : reasonOf(error);
    await log.append({
      ...entry,
      stage: 'result',
      outcome: 'failed',
      data: { ...data, reason },
    });
    if (!isStopped && isRefusal(error)) {
      const refused = { name, version, reason };
      await log.append({
        type: 'package.refused',
        outcome: 'denied',
        sev: 'alert',
        data: refused,
        run,
        actor,
      });
    }
    throw error;
  }
}

function isRefusal(error: unknown): boolean {
  return (
    error instanceof OrchestraError &&
    (error.code === 'package.integrity' || error.code === 'package.host_denied')
  );
}

function reasonOf(error: unknown): string {
  const text = error instanceof OrchestraError ? `${error.code}: ${error.message}` : 'failed';
  return text.slice(0, 512).toWellFormed();
}
