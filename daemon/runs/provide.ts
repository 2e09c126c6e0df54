import { join, posix } from 'node:path';
import { OrchestraError } from '#contract/errors.ts';
import type { Digest } from '#contract/ids.ts';
import type { Plan } from '#contract/plan.ts';
import type { EffectivePolicy, PolicyLists } from '../policy/effective.ts';
import { narrowLists } from '../policy/narrow.ts';
import type { PackageList } from '../provision/package-list.ts';
import type { RunsDeps } from './deps.ts';
import type { ResolvedImage } from './images.ts';
import type { About } from './judging/about.ts';
import { listsFor } from './judging/task-input.ts';
import type { NpmCache } from './open-run.ts';

const manifestBytesMax = 4 * 1024 * 1024;
const lockfileBytesMax = 64 * 1024 * 1024;

export type ProvideRequest = {
  runId: string;
  snapshot: Digest;
  plan: Plan;
  policy: EffectivePolicy;
  about: About;
  image: ResolvedImage;
  signal: AbortSignal;
};

/** What must be there before the first task starts, by the tasks' working directory. */
export type Needs = { cwd: string; list: PackageList }[];

/** Judges every lockfile before anything is fetched, so that a run is refused with all its reasons. */
export async function planNeeds(deps: RunsDeps, request: ProvideRequest): Promise<Needs> {
  const { plan, snapshot, image } = request;
  const folders = new Set(
    plan.tasks.filter((task) => task.provisions.includes('npm')).map((task) => task.cwd),
  );
  const read = (path: string, maxBytes: number) =>
    deps.workspace.snapshots.readFile(snapshot, path, maxBytes);
  if (folders.size === 0) return [];
  // npm's own libraries take 0.4 s and 45 MiB: a daemon that provisions nothing goes without.
  const { planProvision } = await import('../provision/plan-provision.ts');
  const needs: Needs = [];
  for (const cwd of folders) {
    // npm itself prefers the shrinkwrap where both are there.
    const lockfile =
      (await read(posix.join(cwd, 'npm-shrinkwrap.json'), lockfileBytesMax)) ??
      (await read(posix.join(cwd, 'package-lock.json'), lockfileBytesMax));
    const manifest = await read(posix.join(cwd, 'package.json'), manifestBytesMax);
    if (!lockfile || !manifest)
      throw noLockfile(cwd, lockfile ? 'package.json' : 'package-lock.json');
    const npmrc = await read(posix.join(cwd, '.npmrc'), 64 * 1024);
    needs.push({
      cwd,
      list: await planProvision(lockfile, manifest, {
        platform: { os: 'linux', cpu: cpuOf(image.arch), libc: image.libc },
        policy: provisionFor(deps, request),
        npmConfig: deps.npmConfig,
        folder: cwd,
        ...(npmrc ? { npmrc: npmrc.toString('utf8') } : {}),
      }),
    });
  }
  return needs;
}

/** Nothing is fetched before a task that needs it is about to run: it may not have to. */
export function provide(
  deps: RunsDeps,
  request: ProvideRequest,
  needs: Needs,
): ReadonlyMap<string, NpmCache> {
  const fetched = new Map<string, Promise<string>>();
  const fetchAll = async (list: PackageList) => {
    const { provision } = await import('../provision/provision.ts');
    const { dir } = await provision({
      list,
      policy: provisionFor(deps, request),
      npmConfig: deps.npmConfig,
      cacheDir: join(deps.stateDir, 'packages'),
      log: deps.log,
      run: request.runId,
      signal: request.signal,
    });
    return dir;
  };
  const dirOf = async (list: PackageList) => {
    const known = fetched.get(list.key);
    if (known !== undefined) return known;
    const dir = fetchAll(list);
    fetched.set(list.key, dir);
    return dir;
  };
  return new Map(
    needs.map(({ cwd, list }) => [cwd, { packages: list.key, dir: () => dirOf(list) }]),
  );
}

/** What all tasks that need packages may have fetched: the least of what their lists say. */
function provisionFor(
  deps: RunsDeps,
  { plan, policy, about }: ProvideRequest,
): EffectivePolicy['provision'] {
  return plan.tasks
    .filter((task) => task.provisions.length > 0)
    .map((task) => listsFor(deps, { policy, about }, task))
    .reduce<PolicyLists>((above, below) => narrowLists(above, below, () => {}), policy).provision;
}

function noLockfile(cwd: string, name: string): OrchestraError {
  return new OrchestraError('lockfile.invalid', `There is no ${name} in ${cwd}`, {
    hint: 'npm install --package-lock-only',
  });
}

function cpuOf(arch: string): 'x64' | 'arm64' {
  if (arch === 'amd64' || arch === 'x86_64') return 'x64';
  if (arch === 'arm64' || arch === 'aarch64') return 'arm64';
  throw new OrchestraError('image.unknown', `Packages cannot be chosen for the image's ${arch}`);
}
