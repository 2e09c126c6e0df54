import { expect, test } from 'vitest';
import { findRuntimes, thisMachine, type Machine } from '#setup/engine/runtimes.ts';

function machine(
  programs: Readonly<Record<string, string>>,
  said: Readonly<Record<string, string>> = {},
  devices: readonly string[] = [],
): Machine {
  return {
    find: (program) => programs[program],
    ask: (program) => said[program] ?? '',
    canOpen: (file) => devices.includes(file),
  };
}

const shim = { 'containerd-shim-kata-v2': '/usr/bin/containerd-shim-kata-v2' };

test('a machine with none of them registers none', () => {
  expect(findRuntimes(machine({}))).toEqual({});
});

test('a program that cannot say what it knows is started the way that every version takes', () => {
  expect(findRuntimes(machine({ runsc: '/usr/bin/runsc' }))).toEqual({
    runsc: { path: '/usr/bin/runsc', runtimeArgs: ['--platform=ptrace', '--network=none'] },
  });
});

test('gVisor traps by systrap where it knows how', () => {
  const flags = '  -platform string\n\tsystrap (default), ptrace, kvm\n';
  const found = findRuntimes(machine({ runsc: '/opt/runsc' }, { '/opt/runsc': flags }));
  expect(found['runsc']).toEqual({
    path: '/opt/runsc',
    runtimeArgs: ['--platform=systrap', '--network=none'],
  });
});

test('Kata is registered only with a hypervisor and an engine that can name its shim', () => {
  const docker = (version: string) => ({ dockerd: `Docker version ${version}, build x` });
  expect(findRuntimes(machine(shim, docker('28.2.2')))).toEqual({});
  expect(findRuntimes(machine(shim, docker('20.10.24'), ['/dev/kvm']))).toEqual({});
  expect(findRuntimes(machine(shim, docker('28.2.2'), ['/dev/kvm']))).toEqual({
    kata: { runtimeType: 'io.containerd.kata.v2' },
  });
});

test('programs are looked for on the given path only, and what one says is read wherever it says it', () => {
  const here = thisMachine('/usr/bin:/bin');
  expect(here.find('no-such-program-at-all')).toBeUndefined();
  expect(thisMachine('/nowhere').find('sh')).toBeUndefined();
  expect(here.find('sh')).toMatch(/\/sh$/);
  expect(here.ask('sh', ['-c', 'echo out; echo err >&2; exit 3'])).toBe('out\nerr\n');
  expect(here.ask('no-such-program-at-all', [])).toBe('');
});
