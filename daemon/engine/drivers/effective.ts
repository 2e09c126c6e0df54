import type { ContainerInspectInfo, VolumeInspectInfo } from 'dockerode';
import { digestOf } from '../../base/canonical.ts';
import { byTarget, overlayName, seccompName } from '../asked.ts';
import type { Effective, EffectiveSettings } from '../engine.ts';
import { labelNames } from '../labels.ts';
import { noNames } from './translate.ts';

// The library's types are older than the engine's API, and an engine may leave out what they promise.
type HostConfig = ContainerInspectInfo['HostConfig'] & { CgroupnsMode?: string };
type EffectiveMount = EffectiveSettings['mounts'][number];

/** Inspection of a container and its volumes, in our words. Pure; compared with what was asked. */
export function effectiveOf(
  found: ContainerInspectInfo,
  volumes: ReadonlyMap<string, VolumeInspectInfo>,
): Effective {
  const { Config: config } = found;
  const host: HostConfig = found.HostConfig;
  const env = envOf(config.Env ?? []);
  const command = [...asList(config.Entrypoint), ...(config.Cmd ?? [])];
  const [maskedPaths, readonlyPaths] = [host.MaskedPaths ?? [], host.ReadonlyPaths ?? []];
  return {
    settings: {
      image: found.Image,
      user: config.User,
      network: host.NetworkMode ?? '',
      readonly_root: host.ReadonlyRootfs === true,
      no_new_privileges: securityOption(host, 'no-new-privileges') === 'true',
      privileged: host.Privileged !== false,
      caps_added: names(host.CapAdd),
      caps_dropped: names(host.CapDrop),
      seccomp: seccompOf(securityOption(host, 'seccomp')),
      apparmor: apparmorOf(found, host),
      selinux: securityOption(host, 'label')?.replace(/^type:/, '') ?? '',
      ipc: privateWord(host.IpcMode, ['private']),
      pid: privateWord(host.PidMode, ['', 'private']),
      cgroupns: host.CgroupnsMode ?? 'host',
      runtime: host.Runtime ?? '',
      memory_bytes: whole(host.Memory),
      memory_swap_bytes: whole(host.MemorySwap),
      cpu_milli: Math.round(whole(host.NanoCpus) / 1_000_000),
      pids: whole(host.PidsLimit),
      ulimits: (host.Ulimits ?? [])
        .map(({ Name, Soft, Hard }) => `${name(Name ?? '')}=${Soft}:${Hard}`)
        .toSorted(),
      devices: (host.Devices ?? []).map((device: unknown) => show(device)),
      masked_paths: maskedPaths.length,
      readonly_paths: readonlyPaths.length,
      init: host.Init === true,
      shm_bytes: whole(host.ShmSize),
      command: digestOf(command),
      env_names: Object.keys(env).toSorted(),
      mounts: [...mountsOf(found, volumes), ...tmpfsOf(host)].toSorted(byTarget),
    },
    name: found.Name.replace(/^\//, ''),
    command,
    cwd: config.WorkingDir,
    env,
    labels: config.Labels ?? {},
    maskedPaths,
    readonlyPaths,
    others: othersOf(found),
  };
}

const asList = (value: string | readonly string[] | undefined | null): readonly string[] =>
  value === undefined || value === null || value === ''
    ? []
    : typeof value === 'string'
      ? [value]
      : value;

const whole = (value: number | null | undefined) => Math.max(0, Math.trunc(value ?? 0));
const names = (list: readonly string[] | null | undefined) => [...(list ?? [])];
const show = (value: unknown) => (JSON.stringify(value) ?? '').slice(0, 200);
const name = (ulimit: string) => ulimit.toLowerCase().replace(/^rlimit_/, '');

// An entry without "=" is a variable of the image that was taken away.
function envOf(entries: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    entries.flatMap((entry) => {
      const at = entry.indexOf('=');
      return at < 0 ? [] : [[entry.slice(0, at), entry.slice(at + 1)]];
    }),
  );
}

/** `name`, `name:value` and `name=value` are all in use. */
function securityOption(host: HostConfig, wanted: string): string | undefined {
  const found = (host.SecurityOpt ?? []).find((option: string) =>
    new RegExp(`^${wanted}(?:[:=]|$)`).test(option),
  ) as string | undefined;
  return found === undefined ? undefined : found.slice(wanted.length + 1) || 'true';
}

function seccompOf(option: string | undefined): string {
  if (option === undefined || option === 'builtin') return 'builtin';
  return option === 'unconfined' ? option : seccompName(option);
}

function apparmorOf(found: ContainerInspectInfo, host: HostConfig): string {
  return securityOption(host, 'apparmor') ?? found.AppArmorProfile ?? '';
}

function privateWord(value: string | null | undefined, good: readonly string[]): string {
  return value !== null && value !== undefined && good.includes(value)
    ? 'private'
    : (value ?? 'unknown');
}

function mountsOf(
  found: ContainerInspectInfo,
  volumes: ReadonlyMap<string, VolumeInspectInfo>,
): EffectiveMount[] {
  return found.Mounts.map((mount): EffectiveMount => {
    const common = { target: mount.Destination, readonly: !mount.RW };
    if ((mount.Type as string) === 'bind') {
      return { ...common, kind: 'bind', source: mount.Source, options: mount.Propagation ?? '' };
    }
    const volume = volumes.get(mount.Name ?? '');
    // A volume that is neither of those we asked for keeps its own words and so differs.
    return (
      overlayOf(common, volume) ??
      ownVolumeOf(common, volume, found) ?? {
        ...common,
        kind: mount.Type,
        source: mount.Source,
        options: show(volume?.Options).slice(0, 256),
      }
    );
  });
}

function overlayOf(
  common: { target: string; readonly: boolean },
  volume: VolumeInspectInfo | undefined,
): EffectiveMount | undefined {
  const options: Record<string, string> = volume?.Options ?? {};
  const { type, device, o } = options as { type?: string; device?: string; o?: string };
  const isOurs = volume?.Driver === 'local' && type === 'overlay' && device === 'overlay';
  if (!isOurs || o === undefined || Object.keys(options).length !== 3) return undefined;
  const upper = /(?:^|,)upperdir=([^,]*)/.exec(o)?.[1] ?? '';
  return { ...common, kind: 'overlay', source: upper, options: overlayName(o) };
}

/**
 * A plain volume that was made with this container and for nobody else: without a name that anybody
 * chose, and with the labels that only this container has.
 */
function ownVolumeOf(
  common: { target: string; readonly: boolean },
  volume: VolumeInspectInfo | undefined,
  { Config: { Labels: labels } }: ContainerInspectInfo,
): EffectiveMount | undefined {
  const isPlain = volume?.Driver === 'local' && Object.keys(volume.Options ?? {}).length === 0;
  if (!isPlain || !/^[0-9a-f]{64}$/.test(volume.Name)) return undefined;
  // Those of the image are the container's as well, and the engine adds one of its own to a volume
  // that nobody named.
  const said = Object.entries(volume.Labels ?? {}).filter(([name]) =>
    name.startsWith('orchestra.'),
  );
  const isOurs =
    said.some(([name]) => name === labelNames.install) &&
    said.every(([name, value]) => labels[name] === value);
  return isOurs ? { ...common, kind: 'volume', source: '', options: '' } : undefined;
}

function tmpfsOf(host: HostConfig): EffectiveMount[] {
  return Object.entries<string>(host.Tmpfs ?? {}).map(([target, options]) => ({
    kind: 'tmpfs',
    source: '',
    target,
    readonly: false,
    options: options.slice(0, 256),
  }));
}

const emptyAlways = [
  'Binds',
  'VolumesFrom',
  'Links',
  'GroupAdd',
  'ExtraHosts',
  'DnsOptions',
  'DeviceCgroupRules',
  'DeviceRequests',
  'Sysctls',
  'PortBindings',
  'AutoRemove',
  'PublishAllPorts',
  'OomKillDisable',
  'OomScoreAdj',
  'UsernsMode',
  'VolumeDriver',
] as const;

/** What gives power, or would change the meaning of the rest, and is not empty. */
function othersOf({ HostConfig: host, Config: config, Mounts: mounts }: ContainerInspectInfo) {
  const settings = host as unknown as Record<string, unknown>;
  // Whose /etc/hosts is not ours has the engine's, which comes with its settings for names.
  const hasHosts = mounts.some(({ Destination: target }) => target === '/etc/hosts');
  const names = hasHosts ? { Dns: [], DnsSearch: [] } : noNames;
  const expected: [string, unknown, readonly unknown[]][] = [
    ['UTSMode', host.UTSMode, ['', 'private', undefined]],
    ['RestartPolicy', host.RestartPolicy?.Name, ['', 'no', undefined]],
    ['LogConfig', (host.LogConfig as { Type?: string } | undefined)?.Type, ['none']],
    [
      'NetworkDisabled',
      (config as { NetworkDisabled?: boolean }).NetworkDisabled ?? false,
      [hasHosts],
    ],
    ['Dns', show(settings['Dns'] ?? []), [show(names.Dns)]],
    ['DnsSearch', show(settings['DnsSearch'] ?? []), [show(names.DnsSearch)]],
    ['OpenStdin', config.OpenStdin, [true]],
    ['StdinOnce', config.StdinOnce, [true]],
    ['Tty', config.Tty, [false]],
    ['Healthcheck', config.Healthcheck?.Test?.[0] ?? 'NONE', ['NONE']],
  ];
  return [
    ...emptyAlways
      .filter((key) => !isEmpty(settings[key]))
      .map((key) => `${key} ${show(settings[key])}`),
    ...expected
      .filter(([, value, good]) => !good.includes(value))
      .map(([key, value]) => `${key} ${show(value)}`),
  ];
}

function isEmpty(value: unknown): boolean {
  if (value === null || value === undefined || value === '' || value === 0) return true;
  if (value === false) return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}
