import { expect, test } from 'vitest';
import { askedFor } from '#daemon/engine/asked.ts';
import { compare } from '#daemon/engine/compare.ts';
import type { Effective, EffectiveSettings } from '#daemon/engine/engine.ts';
import { fakeHost } from '#test/support/fake-engine.ts';
import { testSpec } from '#test/support/sandbox-spec.ts';

const asked = askedFor(
  testSpec({
    mounts: [
      {
        kind: 'overlay',
        lower: ['/state/layers/a', '/state/layers/b'],
        upper: '/state/layers/u',
        work: '/state/layers/w',
        target: '/workspace',
      },
      { kind: 'tmpfs', target: '/tmp', sizeBytes: 4096, executable: false },
    ],
  }),
  fakeHost,
);
const good: Effective = {
  ...asked,
  maskedPaths: ['/proc/kcore', '/proc/keys', '/proc/timer_list', '/sys/firmware', '/proc/more'],
  readonlyPaths: ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'],
};
const withSettings = (change: Partial<EffectiveSettings>): Effective => ({
  ...good,
  settings: { ...good.settings, ...change },
});

test('what was asked for has no differences', () => {
  expect(compare(asked, good)).toEqual([]);
});

const worse: { [K in keyof EffectiveSettings]?: EffectiveSettings[K] } = {
  image: `sha256:${'b'.repeat(64)}`,
  user: '0:0',
  network: 'host',
  readonly_root: false,
  no_new_privileges: false,
  privileged: true,
  caps_added: ['SYS_ADMIN'],
  caps_dropped: [],
  seccomp: 'unconfined',
  apparmor: 'unconfined',
  selinux: 'disable',
  ipc: 'host',
  pid: 'host',
  cgroupns: 'host',
  runtime: 'other',
  memory_bytes: 0,
  memory_swap_bytes: 2 ** 40,
  cpu_milli: 0,
  pids: 0,
  ulimits: [],
  devices: ['/dev/kvm'],
  init: false,
  shm_bytes: 2 ** 30,
  command: `sha256:${'c'.repeat(64)}`,
  env_names: ['LD_PRELOAD'],
  mounts: [],
};

test.each(Object.keys(worse))('a different %s is noticed', (key) => {
  const lines = compare(asked, withSettings({ [key]: worse[key as keyof EffectiveSettings] }));
  expect(lines).toHaveLength(1);
  expect(lines[0]).toContain(key);
});

test('every field that the log keeps has a case above, but for the two counts', () => {
  const cases = [...Object.keys(worse), 'masked_paths', 'readonly_paths'];
  expect(cases.toSorted()).toEqual(Object.keys(good.settings).toSorted());
});

test.each(
  asked.settings.mounts.flatMap((mount) => Object.keys(mount).map((key) => [mount.kind, key])),
)('a %s mount with a different %s is noticed', (kind, key) => {
  const mounts = good.settings.mounts.map((mount) =>
    mount.kind === kind
      ? { ...mount, [key ?? '']: key === 'readonly' ? !mount.readonly : 'x' }
      : mount,
  );
  expect(compare(asked, withSettings({ mounts }))).toHaveLength(1);
});

test('a mount that nobody asked for is noticed, such as a volume of the image', () => {
  const extra = { kind: 'volume', source: '/x', target: '/x', readonly: false, options: '' };
  expect(compare(asked, withSettings({ mounts: [...good.settings.mounts, extra] }))).toHaveLength(
    1,
  );
});

test('other lists of dropped capabilities count when they are complete', () => {
  const expanded =
    'CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_FSETID CAP_KILL CAP_NET_BIND_SERVICE CAP_SETFCAP CAP_SETGID CAP_SETPCAP CAP_SETUID CAP_SYS_CHROOT'.split(
      ' ',
    );
  expect(compare(asked, withSettings({ caps_dropped: expanded }))).toEqual([]);
  expect(compare(asked, withSettings({ caps_dropped: expanded.slice(1) }))).toHaveLength(1);
});

test('a profile of AppArmor that the engine adds by itself only tightens', () => {
  expect(compare(asked, withSettings({ apparmor: 'docker-default' }))).toEqual([]);
});

test('a name, directory, label, masked path or other setting that differs is noticed', () => {
  expect(compare(asked, { ...good, name: 'x' })).toHaveLength(1);
  expect(compare(asked, { ...good, cwd: '/tmp' })).toHaveLength(1);
  expect(compare(asked, { ...good, command: ['sh'] })).toHaveLength(1);
  expect(compare(asked, { ...good, labels: {} })).toHaveLength(4);
  expect(compare(asked, { ...good, maskedPaths: [] })).toHaveLength(4);
  expect(compare(asked, { ...good, readonlyPaths: [] })).toHaveLength(5);
  expect(compare(asked, { ...good, others: ['GroupAdd ["0"]'] })).toHaveLength(1);
});

test('another value of a variable is noticed and not told', () => {
  const lines = compare(asked, { ...good, env: { ...good.env, PATH: 'secret' } });
  expect(lines).toEqual(['env PATH: another value than asked']);
});
