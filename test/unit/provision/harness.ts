import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { recordTypes } from '#contract/records.ts';
import type { AnyEntry, Log } from '#daemon/audit/types.ts';
import { npmConfigFrom } from '#daemon/provision/npm-config.ts';
import { planProvision, type PlanProvisionOptions } from '#daemon/provision/plan-provision.ts';
import { provision, type ProvisionOptions } from '#daemon/provision/provision.ts';

export type Entries = Record<string, Record<string, unknown>>;

/** A lockfile of version 3 and its manifest; the root asks for every top-level entry exactly. */
export function project(packages: Entries, root: Record<string, unknown> = {}) {
  const dependencies = Object.fromEntries(
    Object.entries(packages)
      .filter(([at]) => /^node_modules\/(@[^/]+\/)?[^/]+$/.test(at))
      .map(([at, entry]) => [at.replace('node_modules/', ''), entry['version'] ?? '*']),
  );
  const manifest = { name: 'demo', version: '1.0.0', dependencies, ...root };
  return {
    lockfile: JSON.stringify({
      name: 'demo',
      version: '1.0.0',
      lockfileVersion: 3,
      requires: true,
      packages: { '': manifest, ...packages },
    }),
    manifest: JSON.stringify(manifest),
  };
}

export const platform = { os: 'linux', cpu: 'x64', libc: 'glibc' } as const;
export const limits = { packageBytes: 1e6, totalBytes: 1e7, packages: 1000 };
export const somehash = `sha512-${'A'.repeat(86)}==`;

/** Options for a machine whose npm is configured with `registry`. */
export function configured(
  registry: string,
  extra: { options?: Record<string, unknown>; registries?: string[] } = {},
): PlanProvisionOptions {
  return {
    platform,
    policy: { ...limits, registries: extra.registries ?? ['configured'] },
    npmConfig: npmConfigFrom({ registry, ...extra.options }),
  };
}

export async function plan(
  { lockfile, manifest }: { lockfile: string; manifest: string },
  options: Partial<PlanProvisionOptions> = {},
) {
  return planProvision(lockfile, manifest, { ...configured('http://127.0.0.1:9/'), ...options });
}

/** A log that refuses what the real one would refuse, and remembers the rest. */
export function memoryLog() {
  const entries: AnyEntry[] = [];
  const append = async (entry: AnyEntry) => {
    recordTypes[entry.type].data.parse(entry.data);
    entries.push(entry);
    return entry;
  };
  return { entries, log: { append } as unknown as Pick<Log, 'append'> };
}

export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'orchestra-provision-test-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Plans and provisions in one go, into a fresh folder unless told otherwise. */
export async function run(
  input: { lockfile: string; manifest: string },
  options: PlanProvisionOptions,
  extra: Partial<ProvisionOptions> = {},
) {
  const list = await planProvision(input.lockfile, input.manifest, options);
  return provision({
    list,
    policy: options.policy,
    npmConfig: options.npmConfig,
    cacheDir: extra.cacheDir ?? (await temporaryFolder()),
    log: memoryLog().log,
    signal: new AbortController().signal,
    ...extra,
  });
}
