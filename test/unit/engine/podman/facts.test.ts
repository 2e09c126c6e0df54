import { afterAll, beforeAll, expect, test } from 'vitest';
import type { EngineFacts } from '#daemon/engine/engine.ts';
import { podmanFacts } from '#daemon/engine/drivers/podman/facts.ts';
import { tempDir } from '#test/support/temp-dir.ts';

const facts: EngineFacts = {
  kind: 'podman',
  version: '4.3.1',
  apiVersion: '1.41',
  os: 'linux',
  arch: 'amd64',
  runtimes: ['crun', 'runc'],
  defaultRuntime: 'crun',
  seccomp: true,
  apparmor: false,
  selinux: false,
  userns: false,
  rootless: false,
  cgroupVersion: '1',
  limits: { memory: true, swap: true, pids: true, cpu: true },
  kernel: '6.1',
  cpus: 2,
  memoryBytes: 2 ** 34,
};
const socket = { socketPath: '/run/podman/podman.sock' };
const controllers = ['cpu', 'memory', 'pids'];

let dir: Awaited<ReturnType<typeof tempDir>>;
beforeAll(async () => {
  dir = await tempDir();
});
afterAll(async () => dir[Symbol.asyncDispose]());

function info(change: { controllers?: string[]; root?: string } = {}) {
  const host = {
    cgroupControllers: change.controllers ?? controllers,
  };
  return async () => ({ host, store: { graphRoot: change.root ?? dir.path } });
}

test('a Podman that can confirm everything is used, with the runtime that is surely there', async () => {
  const components = [
    { name: 'podman', version: '4.3.1' },
    { name: 'crun', version: '1.8.1' },
    { name: 'runc', version: '1.1.5' },
  ];
  const known = await podmanFacts({ ...facts, components }, socket, info());
  // A runtime that it only has a name for must not keep the daemon from starting.
  expect(known.components).toEqual(components.slice(0, 2));
  expect(Object.keys(known.runtimeFacts ?? {})).toEqual(['crun']);
  expect(known.runtimeFacts?.['crun']?.keepsVolumeFlags).toBe(true);
  expect(known).toMatchObject({ ...facts, runtimes: ['crun'] });
});

test.each([
  ['over a network', facts, { host: '192.0.2.1', port: 1 }, {}, /network/],
  ['of another age', { ...facts, version: '3.4.4' }, socket, {}, /older/],
  ['with storage out of sight', facts, socket, { root: '/nowhere/at/all' }, /storage/],
  ['without limits', facts, socket, { controllers: ['cpu', 'pids'] }, /limits/],
])('Podman %s is refused at once, with the reason', async (_, said, address, change, reason) => {
  const refused = podmanFacts(said, address, info(change));
  await expect(refused).rejects.toMatchObject({ code: 'engine.unavailable' });
  await expect(refused).rejects.toThrow(reason);
});
