import type { Effective, EffectiveSettings } from './engine.ts';

/**
 * Where a created container differs from what was asked for, one line each; empty when it is what
 * policy allowed. Everything that is not known to be harmless counts as a difference.
 */
export function compare(asked: Effective, got: Effective): string[] {
  return [
    ...compareSettings(asked.settings, got.settings),
    ...differs('name', asked.name, got.name),
    ...hiddenUnlessEqual('command', asked.command, got.command),
    ...differs('cwd', asked.cwd, got.cwd),
    ...compareEnv(asked.env, got.env),
    ...Object.entries(asked.labels).flatMap(([name, value]) =>
      differs(`label ${name}`, value, got.labels[name]),
    ),
    ...missing('masked path', maskedAlways, got.maskedPaths),
    ...missing('read-only path', readonlyAlways, got.readonlyPaths),
    ...got.others.map((other) => `unexpected ${other}`),
  ].map((line) => line.slice(0, 512).toWellFormed());
}

type Key = keyof EffectiveSettings;

/** How each field is compared: a new field does not compile until it says so here. */
const rules: { readonly [K in Key]-?: 'equal' | 'caps' | 'tighter' | 'counted elsewhere' } = {
  image: 'equal',
  user: 'equal',
  network: 'equal',
  readonly_root: 'equal',
  no_new_privileges: 'equal',
  privileged: 'equal',
  caps_added: 'equal',
  caps_dropped: 'caps',
  seccomp: 'equal',
  apparmor: 'tighter',
  selinux: 'tighter',
  ipc: 'equal',
  pid: 'equal',
  cgroupns: 'equal',
  runtime: 'equal',
  memory_bytes: 'equal',
  memory_swap_bytes: 'equal',
  cpu_milli: 'equal',
  pids: 'equal',
  ulimits: 'equal',
  devices: 'equal',
  masked_paths: 'counted elsewhere',
  readonly_paths: 'counted elsewhere',
  init: 'equal',
  shm_bytes: 'equal',
  command: 'equal',
  env_names: 'equal',
  mounts: 'equal',
};

function compareSettings(asked: EffectiveSettings, got: EffectiveSettings): string[] {
  return (Object.keys(rules) as Key[]).flatMap((key) => {
    switch (rules[key]) {
      case 'equal':
        return differs(key, asked[key], got[key]);
      case 'caps':
        return dropsEverything(got.caps_dropped) ? [] : differs(key, ['ALL'], got.caps_dropped);
      case 'tighter':
        // Where nothing was asked an engine may still add its own profile: that only tightens.
        return asked[key] === '' && !['unconfined', 'disable'].some((open) => open === got[key])
          ? []
          : differs(key, asked[key], got[key]);
      case 'counted elsewhere':
        return [];
    }
  });
}

/** Podman reports `ALL` as the list of what it would have given. */
function dropsEverything(dropped: readonly string[]): boolean {
  const names = new Set(dropped.map((name) => name.toUpperCase().replace(/^CAP_/, '')));
  return names.has('ALL') || capsByDefault.every((name) => names.has(name));
}

// What Podman gives by default (eleven) is part of what Docker gives by default (fourteen); of the
// three that Podman does not give, nothing has to be dropped.
const capsByDefault = [
  'CHOWN',
  'DAC_OVERRIDE',
  'FOWNER',
  'FSETID',
  'KILL',
  'NET_BIND_SERVICE',
  'SETFCAP',
  'SETGID',
  'SETPCAP',
  'SETUID',
  'SYS_CHROOT',
];

const maskedAlways = ['/proc/kcore', '/proc/keys', '/proc/timer_list', '/sys/firmware'];
const readonlyAlways = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];

function compareEnv(asked: Effective['env'], got: Effective['env']): string[] {
  // Values stay out of the message: one may be a secret.
  return Object.keys(asked)
    .filter((name) => Object.hasOwn(got, name) && got[name] !== asked[name])
    .map((name) => `env ${name}: another value than asked`);
}

function hiddenUnlessEqual(what: string, asked: unknown, got: unknown): string[] {
  return show(asked) === show(got) ? [] : [`${what}: not the one asked for`];
}

function differs(what: string, asked: unknown, got: unknown): string[] {
  const [left, right] = [show(asked), show(got)];
  return left === right ? [] : [`${what}: asked ${left}, got ${right}`];
}

function missing(what: string, wanted: readonly string[], got: readonly string[]): string[] {
  return wanted.filter((each) => !got.includes(each)).map((each) => `${what} ${each}: missing`);
}

/** Spelled the same whatever the order of the keys. */
function show(value: unknown): string {
  return (
    JSON.stringify(value, (_, inner: unknown) =>
      typeof inner === 'object' && inner !== null && !Array.isArray(inner)
        ? Object.fromEntries(
            Object.entries(inner as Record<string, unknown>).toSorted(([a], [b]) =>
              a < b ? -1 : 1,
            ),
          )
        : inner,
    ) ?? 'nothing'
  );
}
