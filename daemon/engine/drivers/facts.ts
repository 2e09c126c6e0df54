import { posix } from 'node:path';
import type Docker from 'dockerode';
import { askVersions } from '../ask-versions.ts';
import type { EngineFacts } from '../engine.ts';
import { runtimeFacts } from '../runtime-facts.ts';
import { usersFrom } from '../users.ts';
import { componentsOf } from './components.ts';

/** What the engine says about itself and its machine. */
export async function engineFacts(docker: Docker): Promise<EngineFacts> {
  const [version, answer] = await Promise.all([docker.version(), docker.info()]);
  const info = answer as Info;
  const security = (info.SecurityOptions ?? []).map((option) => option.split(',')[0] ?? '');
  const components = version.Components ?? [];
  const paths = Object.entries(info.Runtimes ?? {}).map(
    ([name, { path = '' }]) => [posix.basename(path) || name, path] as const,
  );
  const known = componentsOf(
    components,
    paths.map(([name]) => name),
  );
  return {
    kind: components.some((one) => one.Name.startsWith('Podman')) ? 'podman' : 'docker',
    version: version.Version,
    apiVersion: version.ApiVersion,
    os: version.Os,
    arch: version.Arch,
    runtimes: Object.keys(info.Runtimes ?? {}).toSorted(),
    runtimeFacts: Object.fromEntries(
      Object.entries(info.Runtimes ?? {}).map(([name, { runtimeArgs }]) => [
        name,
        runtimeFacts(name, runtimeArgs ?? []),
      ]),
    ),
    // Podman names the one that it was started with by its path.
    defaultRuntime: posix.basename(info.DefaultRuntime ?? ''),
    seccomp: security.includes('name=seccomp'),
    apparmor: security.includes('name=apparmor'),
    selinux: security.includes('name=selinux'),
    userns: security.includes('name=userns'),
    ...(security.includes('name=userns') ? usersFrom(info.DockerRootDir ?? '') : {}),
    rootless: security.includes('name=rootless'),
    cgroupVersion: info.CgroupVersion ?? '1',
    limits: {
      memory: info.MemoryLimit === true,
      swap: info.SwapLimit === true,
      pids: info.PidsLimit === true,
      cpu: info.CpuCfsQuota === true,
    },
    kernel: info.KernelVersion ?? '',
    cpus: info.NCPU ?? 0,
    memoryBytes: info.MemTotal ?? 0,
    components: isHere(docker) ? await askVersions(known, Object.fromEntries(paths)) : known,
  };
}

/** A socket of this machine; what answers there may still be elsewhere, with other paths. */
function isHere({ modem }: Docker): boolean {
  return typeof (modem as { socketPath?: unknown }).socketPath === 'string';
}

type Info = {
  SecurityOptions?: string[] | null;
  Runtimes?: Record<string, { path?: string; runtimeArgs?: string[] | null }> | null;
  DefaultRuntime?: string;
  DockerRootDir?: string;
  CgroupVersion?: string;
  MemoryLimit?: boolean;
  SwapLimit?: boolean;
  PidsLimit?: boolean;
  CpuCfsQuota?: boolean;
  KernelVersion?: string;
  NCPU?: number;
  MemTotal?: number;
};
