import { hash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readSeccompProfile } from '#daemon/policy/seccomp.ts';
import { seccompFile, shippedSeccomp } from '#test/support/seccomp.ts';
import { tempDir } from '#test/support/temp-dir.ts';

let dir: Awaited<ReturnType<typeof tempDir>>;
beforeAll(async () => {
  dir = await tempDir();
});
afterAll(async () => dir[Symbol.asyncDispose]());

type Rule = {
  names: string[];
  action: string;
  errnoRet?: number;
  args: { index: number; value: number; valueTwo: number; op: string }[];
};
type Profile = { defaultAction: string; archMap: object[]; syscalls: Rule[] };
const shipped = JSON.parse(shippedSeccomp().json) as Profile;

test.each<[string, string]>([
  ['allows what it does not name', changed({ defaultAction: 'SCMP_ACT_ALLOW' })],
  ['only writes down what it does not name', changed({ defaultAction: 'SCMP_ACT_LOG' })],
  ['is for no processor', changed({ archMap: [] })],
  ['has conditions of another kind', changedRule({ includes: { caps: ['CAP_SYS_ADMIN'] } })],
  ['has an action of another kind', changedRule({ action: 'SCMP_ACT_NOTIFY' })],
  ['both allows and denies a call', changedRule({ names: ['read'] })],
  ['is no JSON', '{"defaultAction":'],
  ['is a list', '[]'],
  ['is empty', ''],
  ['is too large', `${' '.repeat(300_000)}{}`],
])('a profile that %s keeps the daemon from starting', async (_, json) => {
  const file = path.join(dir.path, 'seccomp.json');
  writeFileSync(file, json);
  await expect(readSeccompProfile(file)).rejects.toMatchObject({ code: 'config.invalid' });
});

test('a profile that is not there keeps the daemon from starting', async () => {
  const file = path.join(dir.path, 'none.json');
  await expect(readSeccompProfile(file)).rejects.toMatchObject({ code: 'config.invalid' });
});

test('the shipped one is taken, and named by its sum', async () => {
  const { json } = shippedSeccomp();
  expect(await readSeccompProfile(seccompFile)).toEqual({
    json,
    digest: `sha256:${hash('sha256', json, 'hex')}`,
  });
});

const allowed = shipped.syscalls.filter(({ action }) => action === 'SCMP_ACT_ALLOW');
const outcome = (name: string, ...args: bigint[]): string => {
  const named = shipped.syscalls.filter(({ names }) => names.includes(name));
  const hit = named.find((rule) => rule.args.every((arg) => holds(arg, args[arg.index] ?? 0n)));
  return hit === undefined ? shipped.defaultAction : hit.action;
};
function holds({ value, valueTwo, op }: Rule['args'][number], got: bigint): boolean {
  return op === 'SCMP_CMP_EQ' ? got === BigInt(value) : (got & BigInt(value)) === BigInt(valueTwo);
}

test('no call that leads out is allowed, whatever it is given', () => {
  const names = new Set(allowed.flatMap((rule) => rule.names));
  const out =
    'io_uring_setup io_uring_enter io_uring_register userfaultfd keyctl add_key request_key bpf perf_event_open ptrace process_vm_readv process_vm_writev kcmp pidfd_getfd mount umount umount2 pivot_root fsopen fsmount fsconfig fspick move_mount open_tree mount_setattr unshare setns clone3 chroot kexec_load kexec_file_load init_module finit_module delete_module swapon swapoff reboot settimeofday clock_settime clock_adjtime adjtimex quotactl quotactl_fd open_by_handle_at name_to_handle_at iopl ioperm acct syslog fanotify_init sethostname setdomainname memfd_secret modify_ldt vhangup lookup_dcookie';
  expect(out.split(' ').filter((name) => names.has(name))).toEqual([]);
});

test('a process is made in no new namespace, by whichever flag', () => {
  for (const flag of [0x0002_0000, 0x0200_0000, 0x0400_0000, 0x0800_0000]) {
    expect(outcome('clone', BigInt(flag) | 17n)).toBe('SCMP_ACT_ERRNO');
  }
  for (const flag of [0x1000_0000, 0x2000_0000, 0x4000_0000]) {
    expect(outcome('clone', BigInt(flag) | (1n << 40n))).toBe('SCMP_ACT_ERRNO');
  }
  expect(outcome('clone', 0x01_2011n)).toBe('SCMP_ACT_ALLOW');
});

test('sockets are local, TCP, UDP, or ask for the interfaces', () => {
  const can = (...args: number[]) => outcome('socket', ...args.map(BigInt)) === 'SCMP_ACT_ALLOW';
  const cloexec = 0o2000000;
  for (let family = 0; family < 64; family += 1) {
    for (const type of [1, 2, 3, 5]) {
      for (const protocol of [0, 1, 6, 9, 15, 17, 132, 262]) {
        const isInet = family === 2 || family === 10;
        const isPlain =
          (type === 1 && [0, 6].includes(protocol)) || (type === 2 && [0, 17].includes(protocol));
        const expected = family === 1 || (family === 16 && protocol === 0) || (isInet && isPlain);
        expect([family, type, protocol, can(family, type | cloexec, protocol)]).toEqual([
          family,
          type,
          protocol,
          expected,
        ]);
      }
    }
  }
});

test('of all ioctls exactly TIOCSTI and TIOCLINUX are out, however the upper bits are set', () => {
  const upper = [0n, 0x8004_0000n, 0x1_0000_0000n, 0xffff_ffff_8000_0000n];
  const out = new Set<number>();
  for (let low = 0; low < 0x1_0000; low += 1) {
    const answers = upper.map((bits) => outcome('ioctl', 0n, bits | BigInt(low)));
    if (new Set(answers).size !== 1) throw new Error(`the upper bits decide about ${low}`);
    if (answers[0] !== 'SCMP_ACT_ALLOW') out.add(low);
  }
  expect([...out]).toEqual([0x5412, 0x541c]);
});

test('no node of a device is made, not even a whiteout', () => {
  for (const type of [0o020000, 0o060000]) {
    expect(outcome('mknod', 0n, BigInt(type | 0o600))).toBe('SCMP_ACT_ERRNO');
    expect(outcome('mknodat', 0n, 0n, BigInt(type | 0o600))).toBe('SCMP_ACT_ERRNO');
  }
  expect(outcome('mknodat', 0n, 0n, BigInt(0o010600))).toBe('SCMP_ACT_ALLOW');
});

test('what honest programs probe is answered, and does not kill them', () => {
  const probed =
    'clone3 io_uring_setup userfaultfd perf_event_open unshare keyctl ptrace memfd_secret';
  for (const name of probed.split(' '))
    expect([name, outcome(name)]).toEqual([name, 'SCMP_ACT_ERRNO']);
});

function changed(change: object): string {
  return JSON.stringify({ ...(JSON.parse(shippedSeccomp().json) as object), ...change });
}

function changedRule(change: object): string {
  const profile = JSON.parse(shippedSeccomp().json) as Profile;
  const [first, ...rest] = profile.syscalls;
  return JSON.stringify({ ...profile, syscalls: [{ ...first, ...change }, ...rest] });
}
