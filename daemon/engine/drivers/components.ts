import { posix } from 'node:path';
import type { Component } from '../known-escapes.ts';
import { versionIn } from '../versions.ts';

/** As in the answer to `docker version`. */
type Said = { Name: string; Version?: string; Details?: { GitCommit?: string; Package?: string } };

/**
 * The programs that take part in making containers, by the names of their projects. `runtimes`: the
 * ones that the engine was told of, of which it knows no version but of its own.
 */
export function componentsOf(said: readonly Said[], runtimes: readonly string[]): Component[] {
  const known = said.flatMap((one) => {
    const name = projectOf(one.Name);
    return name === undefined ? [] : [component(name, one)];
  });
  const others = runtimes
    .map((runtime) => posix.basename(runtime))
    .filter((name) => /^(?:runc|crun|runsc)$/.test(name))
    .filter((name) => known.every((one) => one.name !== name));
  return [...known, ...new Set(others)].map((one) =>
    typeof one === 'string' ? { name: one, version: undefined } : one,
  );
}

function component(name: string, { Version = '', Details = {} }: Said): Component {
  // Debian's Docker says its package as the commit, Podman says "crun_1.8.1-1+deb12u1_amd64".
  const packed = [Details.GitCommit, Details.Package?.split('_')[1]].find((text) =>
    /\+deb\d+u\d+$/.test(text ?? ''),
  );
  return {
    name,
    version: versionIn(Version),
    ...(packed === undefined ? {} : { package: packed.slice(0, 128) }),
  };
}

function projectOf(name: string): string | undefined {
  if (name === 'Engine') return 'docker';
  if (name === 'Podman Engine') return 'podman';
  if (name === 'runc' || name === 'containerd') return name;
  return /^OCI Runtime \((?:.*\/)?([a-z]{1,32})\)$/.exec(name)?.[1];
}
