import type { Inspected, OciConfig } from './oci.ts';

/** Anything that was set, is not compared by itself, and a sandbox must not have. */
export function othersOf(found: Inspected, oci: OciConfig, isAdopted: boolean): string[] {
  const { HostConfig: host, Config: config } = found;
  const { process, linux } = oci;
  const gid = process.user.gid;
  return [
    // Of one that is adopted the state is what is asked for, and told apart from this.
    ...unless(isAdopted || found.State.Status === 'initialized', `state ${found.State.Status}`),
    ...unless(['', 'no'].includes(host.RestartPolicy.Name), 'restart policy'),
    ...unless(!host.AutoRemove, 'automatic removal'),
    ...unless(host.LogConfig.Type === 'none', `log driver ${host.LogConfig.Type}`),
    ...unless(Object.keys(host.PortBindings ?? {}).length === 0, 'published port'),
    ...unless(host.VolumesFrom.length === 0, 'volumes of another container'),
    ...unless(found.Dependencies.length === 0 && (found.Pod ?? '') === '', 'pod'),
    ...unless(config.Secrets.length === 0, 'secret'),
    ...unless(config.OpenStdin && !config.Tty && !process.terminal, 'standard input or terminal'),
    ...unless((config.Healthcheck?.Test[0] ?? 'NONE') === 'NONE', 'health check'),
    ...unless(Object.keys(oci.hooks ?? {}).length === 0, 'hook'),
    ...unless(
      process.user.additionalGids.every((other) => other === gid),
      'additional group',
    ),
    ...unless((process.oomScoreAdj ?? 0) >= 0, 'protection from a lack of memory'),
    ...namespaceDifferences(linux.namespaces),
    ...sysctlDifferences(linux.sysctl ?? {}),
    ...deviceDifferences(linux.resources.devices),
    ...unknownKeys('process', process, processKeys),
    ...unknownKeys('linux', linux, linuxKeys),
    ...unknownKeys('resource', linux.resources, resourceKeys),
    ...unknownKeys('memory', linux.resources.memory ?? {}, ['limit', 'swap']),
    ...unknownKeys('cpu', linux.resources.cpu ?? {}, ['quota', 'period']),
  ];
}

const unless = (holds: boolean, what: string) => (holds ? [] : [what]);

function namespaceDifferences(namespaces: OciConfig['linux']['namespaces']): string[] {
  const wanted = ['cgroup', 'ipc', 'mount', 'network', 'pid', 'uts'];
  const got = namespaces.filter(({ path }) => (path ?? '') === '').map(({ type }) => type);
  return unless(
    got.length === namespaces.length && got.toSorted().join() === wanted.join(),
    `namespaces ${namespaces.map(({ type }) => type).join(' ')}`,
  );
}

// In a network namespace with nothing but loopback nobody can be pinged.
function sysctlDifferences(sysctl: Readonly<Record<string, string>>): string[] {
  return Object.keys(sysctl)
    .filter((name) => name !== 'net.ipv4.ping_group_range')
    .map((name) => `sysctl ${name}`);
}

/** One rule that forbids everything; the runtime lets `null` and its like through by itself. */
function deviceDifferences(rules: readonly unknown[]): string[] {
  const [first, ...more] = rules as { allow?: unknown; access?: unknown; type?: unknown }[];
  const isDenied =
    first?.allow === false &&
    first.access === 'rwm' &&
    (first.type ?? 'a') === 'a' &&
    Object.keys(first).every((key) => ['allow', 'access', 'type'].includes(key));
  return unless(isDenied && more.every((rule) => rule.allow === false), 'device rule');
}

const processKeys = [
  'args',
  'env',
  'cwd',
  'terminal',
  'user',
  'capabilities',
  'rlimits',
  'noNewPrivileges',
  'apparmorProfile',
  'oomScoreAdj',
  // A label of SELinux only tightens.
  'selinuxLabel',
];
const linuxKeys = [
  'namespaces',
  'sysctl',
  'devices',
  'maskedPaths',
  'readonlyPaths',
  'resources',
  'seccomp',
  'cgroupsPath',
  'mountLabel',
];
const resourceKeys = ['devices', 'memory', 'cpu', 'pids'];

/** What a later version can say and nobody here has judged. */
function unknownKeys(what: string, value: object, known: readonly string[]): string[] {
  return Object.keys(value)
    .filter((key) => !known.includes(key))
    .map((key) => `${what} setting ${key}`);
}
