import { expect, test } from 'vitest';
import { daemonWithRun } from '#test/support/fake-daemon.ts';
import { orchestra } from '#test/support/run-orchestra.ts';
import { tempDir } from '#test/support/temp-dir.ts';

const nobody = { auth: 'socket', missing: 'no such library', groups: [], roles: [], quotas: [] };

test('who has no role is told so, and how weak the proof is', async () => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun();
  daemon.answer('whoAmI', { json: nobody });
  const ran = orchestra(['whoami'], { cwd: dir.path, host: daemon.host });
  expect(await ran.code).toBe(0);
  expect(ran.out()).toMatchInlineSnapshot(`
    "you       nobody in particular
    known by  nothing but that you could open the socket (socket)
              no such library
    groups    none
    roles     none: you may do nothing but ask this
    "
  `);
});

test('doctor asks nothing more for somebody without a role, and says what to do', async () => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun();
  daemon.answer('whoAmI', { json: nobody });
  const ran = orchestra(['doctor'], { cwd: dir.path, host: daemon.host });
  expect(await ran.code).toBe(1);
  expect(ran.out()).toContain('you');
  expect(ran.out()).toContain('without any role  → ask for one');
  expect(daemon.namesAsked()).not.toContain('doctor');
});

test('whoami says each role with its line, and quotas that have an end', async () => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun();
  const ran = orchestra(['whoami'], { cwd: dir.path, host: daemon.host });
  expect(await ran.code).toBe(0);
  expect(ran.out()).toMatchInlineSnapshot(`
    "you       ada (1000)
    known by  the kernel's word about the other end of the socket (peer)
    groups    ada, orchestra
    roles     runner    access.runner: group:orchestra
    quotas    runs_per_day        3 of 20  quotas.default
    "
  `);
});

test('what a hostile daemon says of somebody is shown without control characters', async () => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun();
  const user = 'eve\u001B[2J\nroot';
  daemon.answer('whoAmI', { json: { ...nobody, auth: 'peer', uid: 7, user, groups: [user] } });
  const ran = orchestra(['whoami'], { cwd: dir.path, host: daemon.host });
  expect(await ran.code).toBe(0);
  expect(ran.out()).not.toContain('\u001B');
  expect(ran.out().split('\n')).not.toContain('root (7)');
});

test('usage shows for each user what is used of what there is', async () => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun();
  const ran = orchestra(['usage', '--user', 'ada'], { cwd: dir.path, host: daemon.host });
  expect(await ran.code).toBe(0);
  expect(ran.out()).toMatchInlineSnapshot(`
    "WHO  OPEN  RUNS  TASKS  CPU MIN  DISK
    ada  1     3/20  9      1.5      1 KiB
    "
  `);
  expect(daemon.asked.find(({ name }) => name === 'usage')?.query).toEqual({ user: 'ada' });
});
