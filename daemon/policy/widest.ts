import { limitNames, type Limits } from '#contract/limits.ts';
import type { PolicyLayer, PolicyLists } from './effective.ts';

/**
 * What at least one profile of a document allows: within this a plan is made and an image chosen. It
 * is never what a task is judged by, so it may be wider than any of them.
 */
export function widest({
  standard,
  profiles,
}: Pick<PolicyLayer, 'standard' | 'profiles'>): PolicyLists {
  return profiles.map(({ lists }) => lists).reduce(wider, standard);
}

function wider(a: PolicyLists, b: PolicyLists): PolicyLists {
  const limits = Object.fromEntries(
    limitNames.map((name) => [name, Math.max(a.limits[name], b.limits[name])]),
  ) as Limits;
  return {
    images: distinct([...a.images, ...b.images]),
    tools: distinct([...a.tools, ...b.tools]),
    // What only one of them demands, the other one does not.
    argv: a.argv.filter((one) => b.argv.some((other) => same(one, other))),
    env: distinct([...a.env, ...b.env]),
    secrets: distinct([...a.secrets, ...b.secrets]),
    limits,
    provision: {
      registries: distinct([...a.provision.registries, ...b.provision.registries]),
      packageBytes: Math.max(a.provision.packageBytes, b.provision.packageBytes),
      totalBytes: Math.max(a.provision.totalBytes, b.provision.totalBytes),
      packages: Math.max(a.provision.packages, b.provision.packages),
    },
    isolation: {
      seccomp: weaker(a.isolation.seccomp, b.isolation.seccomp),
      apparmor: weaker(a.isolation.apparmor, b.isolation.apparmor),
      selinux: weaker(a.isolation.selinux, b.isolation.selinux),
      userns: weaker(a.isolation.userns, b.isolation.userns),
      runtimes: distinct([...a.isolation.runtimes, ...b.isolation.runtimes]),
    },
    mounts: distinct([...a.mounts, ...b.mounts]),
  };
}

const fromStrictest = ['required', 'preferred', 'off'];

function weaker<T extends string>(a: T, b: T): T {
  return fromStrictest.indexOf(a) >= fromStrictest.indexOf(b) ? a : b;
}

function distinct<T>(items: readonly T[]): T[] {
  const seen = new Map(items.map((item) => [JSON.stringify(item), item]));
  return [...seen.values()];
}

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
