import fc from 'fast-check';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { notMapped, onThisMachine, usersFrom } from '#daemon/engine/users.ts';

test.each([
  '/var/lib/docker',
  '/var/lib/docker/100000.100000/x',
  '/var/lib/docker/0.0',
  '/var/lib/docker/0.100000',
  '/var/lib/docker/100000',
  '/var/lib/docker/-1.5',
  '/var/lib/100000.100000.bak',
  '/var/lib/99999999999.1',
  '',
])('a data directory named %j tells of nobody, so tasks are refused', (dir) => {
  expect(usersFrom(dir)).toEqual({});
});

test('a data directory that is named after them tells who root is', () => {
  expect(usersFrom('/a.b/100000.200000')).toEqual({ usersFrom: { uid: 100_000, gid: 200_000 } });
});

test('whatever it is named, nobody of a sandbox becomes root of the machine', () => {
  fc.assert(
    fc.property(fc.string(), fc.nat(), fc.nat(), (dir, uid, gid) => {
      const users = onThisMachine({ uid: 1000, gid: 1000 }, usersFrom(`${dir}/${uid}.${gid}`));
      expect(users.uid).toBeGreaterThanOrEqual(1000);
      expect(users.gid).toBeGreaterThanOrEqual(1000);
    }),
  );
});

test('without a mapping a task is who it is', () => {
  expect(onThisMachine({ uid: 1000, gid: 1001 }, {})).toEqual({ uid: 1000, gid: 1001 });
});

test('a process in the namespace of the machine is named, and its maps too', async () => {
  const lines = await notMapped(process.pid, { uid: 100_000, gid: 100_000 });
  expect(lines.map((line) => line.split(':')[0])).toEqual(['namespace user', 'uid_map', 'gid_map']);
});

test.skipIf(process.getuid?.() !== 0)(
  'root is nobody else than was said, and nobody is root of the machine (needs root)',
  async () => {
    const right = { uid: 100_000, gid: 200_000 };
    expect(await mapped('0 100000 65536', '0 200000 65536', right)).toEqual([]);
    expect(await mapped('0 100001 65536', '0 200000 65536', right)).toEqual([
      'uid_map: the kernel says 0 100001 65536',
    ]);
    expect(await mapped('0 100000 65536', '0 200000 10\n10 0 1', right)).toEqual([
      'gid_map: the kernel says 0 200000 10 10 0 1',
    ]);
  },
);

/** Asks about a process in a user namespace with these maps. */
async function mapped(uids: string, gids: string, from: { uid: number; gid: number }) {
  const child = spawn('unshare', ['--user', 'sh', '-c', 'echo; read -r _'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  try {
    await once(child.stdout, 'data');
    writeFileSync(`/proc/${child.pid}/uid_map`, uids);
    writeFileSync(`/proc/${child.pid}/gid_map`, gids);
    return await notMapped(child.pid ?? 0, from);
  } finally {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
}
