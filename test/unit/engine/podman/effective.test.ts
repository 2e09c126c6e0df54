import { expect, test } from 'vitest';
import { askedFor } from '#daemon/engine/asked.ts';
import { compare } from '#daemon/engine/compare.ts';
import { effectiveOf } from '#daemon/engine/drivers/podman/effective.ts';
import { Inspected, OciConfig } from '#daemon/engine/drivers/podman/oci.ts';
import type { SandboxSpec } from '#daemon/policy/spec.ts';
import { podmanContainer, type PodmanContainer } from '#test/support/podman-container.ts';
import { testSpec } from '#test/support/sandbox-spec.ts';
import { shippedSeccomp } from '#test/support/seccomp.ts';

const host = { hostsFile: '/state/hosts', openFilesMax: 20_000, processesMax: 32_768 };
const spec = testSpec({
  seccomp: shippedSeccomp(),
  mounts: [
    { kind: 'tmpfs', target: '/tmp', sizeBytes: 2 ** 24, executable: false },
    { kind: 'tmpfs', target: '/home/node', sizeBytes: 2 ** 24, executable: true },
    { kind: 'bind', source: '/state/packages/p', target: '/opt/npm-cache', readonly: true },
    {
      kind: 'overlay',
      lower: ['/state/l/a', '/state/l/b'],
      upper: '/state/l/up',
      work: '/state/l/work',
      target: '/workspace',
    },
  ],
});

function differences(change: (made: PodmanContainer) => void, wanted: SandboxSpec = spec) {
  const made = podmanContainer(wanted, host);
  change(made);
  const effective = effectiveOf(Inspected.parse(made.found), OciConfig.parse(made.oci), wanted);
  return compare(askedFor(wanted, host), effective);
}

test('a container that was made as asked does not differ', () => {
  expect(differences(() => {})).toEqual([]);
});

const namespace = (made: PodmanContainer, wanted: string) =>
  made.oci.linux.namespaces.find(({ type }) => type === wanted) ?? { type: '', path: '' };
const mountOn = (made: PodmanContainer, wanted: string): { options: string[]; source: string } =>
  made.oci.mounts.find(({ destination }) => destination === wanted) ?? { options: [], source: '' };

test('a bind that cannot be executed, because its source lies so, does not differ', () => {
  expect(differences((made) => mountOn(made, '/etc/hosts').options.push('noexec'))).toEqual([]);
});

const weakened: [string, (made: PodmanContainer) => void, RegExp][] = [
  ['another image', ({ found }) => (found.Image = 'b'.repeat(64)), /^image/],
  ['root', ({ oci }) => (oci.process.user.uid = 0), /^user/],
  ['a group more', ({ oci }) => oci.process.user.additionalGids.push(0), /additional group/],
  ['a network of another', (made) => (namespace(made, 'network').path = '/n'), /^network/],
  ['a bridge', ({ found }) => (found.HostConfig.NetworkMode = 'bridge'), /^network/],
  ['the host’s pids', ({ oci }) => void oci.linux.namespaces.splice(0, 1), /^pid/],
  ['shared ipc', (made) => (namespace(made, 'ipc').path = '/proc/1/ns/ipc'), /^ipc/],
  ['the host’s cgroups', (made) => (namespace(made, 'cgroup').type = 'time'), /^cgroupns/],
  ['the host’s name', (made) => (namespace(made, 'uts').path = '/x'), /namespaces/],
  ['a user namespace', ({ oci }) => oci.linux.namespaces.push({ type: 'user', path: '' }), /names/],
  ['a writable root', ({ oci }) => (oci.root.readonly = false), /^readonly_root/],
  ['new privileges', ({ oci }) => (oci.process.noNewPrivileges = false), /^no_new_privileges/],
  ['privileged', ({ found }) => (found.HostConfig.Privileged = true), /^privileged/],
  ['a capability', ({ oci }) => (oci.process.capabilities['bounding'] = ['CAP_KILL']), /^caps_/],
  ['capabilities unsaid', ({ oci }) => Reflect.deleteProperty(oci.process, 'capabilities'), /caps/],
  ['no seccomp', ({ oci }) => Reflect.deleteProperty(oci.linux, 'seccomp'), /^seccomp/],
  ['an allowing seccomp', ({ oci }) => (oci.linux.seccomp.defaultAction = 'SCMP_ACT_LOG'), /^secc/],
  ['unshare', (made) => allow(made, { names: ['unshare'] }), /^seccomp/],
  ['any clone', (made) => allow(made, { names: ['clone'] }), /^seccomp/],
  [
    'another errno',
    ({ oci }) => Object.assign(oci.linux.seccomp.syscalls[1] ?? {}, { errnoRet: 1 }),
    /^seccomp/,
  ],
  ['a rule less', ({ oci }) => void oci.linux.seccomp.syscalls.splice(0, 1), /^seccomp/],
  [
    'calls by the numbers of another processor',
    ({ oci }) => oci.linux.seccomp.architectures.push('SCMP_ARCH_X86'),
    /^seccomp/,
  ],
  ['another runtime', ({ found }) => (found.OCIRuntime = '/usr/bin/other'), /^runtime/],
  ['more memory', ({ oci }) => (oci.linux.resources.memory.limit *= 2), /^memory_bytes/],
  ['swap', ({ oci }) => (oci.linux.resources.memory.swap *= 2), /^memory_swap/],
  ['no cpu limit', ({ oci }) => Reflect.deleteProperty(oci.linux.resources, 'cpu'), /^cpu_milli/],
  ['more processes', ({ oci }) => (oci.linux.resources.pids.limit = -1), /^pids/],
  ['a ulimit less', ({ oci }) => void oci.process.rlimits.pop(), /^ulimits/],
  ['a device', ({ oci }) => oci.linux.devices.push({ path: '/dev/kvm' }), /^devices/],
  ['a device rule', ({ oci }) => oci.linux.resources.devices.push({ allow: true }), /device rule/],
  ['no device rule', ({ oci }) => (oci.linux.resources.devices = []), /device rule/],
  ['keys in sight', ({ oci }) => void oci.linux.maskedPaths.splice(1, 1), /masked path/],
  [
    'a writable /proc/sys',
    ({ oci }) => void oci.linux.readonlyPaths.splice(3, 1),
    /read-only path/,
  ],
  ['no init', ({ oci }) => void oci.process.args.splice(0, 2), /^init/],
  ['another command', ({ oci }) => oci.process.args.push('x'), /^command/],
  ['a variable more', ({ oci }) => oci.process.env.push('LD_PRELOAD=/x'), /^env_names/],
  ['another value', ({ oci }) => (oci.process.env[1] = 'PATH=/evil'), /^env PATH/],
  ['a sysctl', ({ oci }) => (oci.linux.sysctl['kernel.core_pattern'] = '|x'), /sysctl/],
  ['a hook', ({ oci }) => Object.assign(oci, { hooks: { prestart: [{}] } }), /hook/],
  ['a setting nobody knows', ({ oci }) => Object.assign(oci.linux, { new: 1 }), /setting new/],
  ['a mount more', ({ oci }) => oci.mounts.push(bindOf('/etc', '/mnt')), /^mounts/],
  ['a writable bind', (made) => mountOn(made, '/opt/npm-cache').options.splice(0, 1), /^mounts/],
  ['a shared bind', (made) => mountOn(made, '/etc/hosts').options.push('rshared'), /^mounts/],
  ['another source', (made) => (mountOn(made, '/opt/npm-cache').source = '/etc'), /^mounts/],
  ['a tmpfs of any size', (made) => mountOn(made, '/tmp').options.splice(4, 1), /^mounts/],
  ['another overlay', (made) => (mountOn(made, '/workspace').options[0] = 'lowerdir=/'), /^mounts/],
  ['a writable /sys', (made) => mountOn(made, '/sys').options.pop(), /^mounts/],
  [
    '/proc of the host',
    (made) => Object.assign(mountOn(made, '/proc'), { type: 'bind' }),
    /^mounts/,
  ],
  ['a /dev/shm of another', (made) => (mountOn(made, '/dev/shm').source = '/dev/shm'), /^mounts/],
  ['that it runs', ({ found }) => (found.State.Status = 'running'), /state/],
  ['a log', ({ found }) => (found.HostConfig.LogConfig.Type = 'k8s-file'), /log driver/],
];

test.each(weakened)('%s is a difference', (_, change, line) => {
  expect(differences(change)).toContainEqual(expect.stringMatching(line));
});

function allow({ oci }: PodmanContainer, rule: object) {
  oci.linux.seccomp.syscalls.push({ action: 'SCMP_ACT_ALLOW', ...rule });
}

function bindOf(source: string, destination: string) {
  return {
    destination,
    type: 'bind',
    source,
    options: ['ro', 'bind', 'nosuid', 'nodev', 'rprivate'],
  };
}
