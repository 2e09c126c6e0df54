import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { lay } from '#test/support/audit-fuzz.ts';
import { daemonWithRun, recordsOf, type FakeDaemon } from '#test/support/fake-daemon.ts';
import { orchestra, type Ran } from '#test/support/run-orchestra.ts';
import { SignedLog } from '#test/support/signed-log.ts';
import { tempDir } from '#test/support/temp-dir.ts';

const hashA = 'a'.repeat(64);
const hashB = 'b'.repeat(64);

function verify(daemon: FakeDaemon, cwd: string, ...flags: string[]): Ran {
  return orchestra(['audit', 'verify', ...flags], { cwd, host: daemon.host });
}

function serveHead(daemon: FakeDaemon, size: number, hash: string, origin = 'log-1'): void {
  const record = recordsOf('succeeded', 0)[0];
  daemon
    .answer('auditHead', { json: { size, hash, origin, at: hash } })
    .answer('auditShow', { json: { record, hash } });
}

test.each([
  ['verified', 0, [], 0],
  ['tampered', 1, [], 4],
  ['unchecked', 2, [], 1],
  ['incomplete', 3, [], 0],
  ['incomplete', 3, ['--strict'], 4],
] as const)('a log that is %s (%d) with %j ends with %d', async (verdict, said, flags, code) => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun();
  daemon.answer('auditVerify', { json: { exit_code: said, verdict, records: 14 } });
  expect(await verify(daemon, dir.path, ...flags).code).toBe(code);
});

test('a log that is shorter than when it was last seen is broken, whatever the daemon says', async () => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun();
  serveHead(daemon, 20, hashA);
  expect(await verify(daemon, dir.path).code).toBe(0);
  serveHead(daemon, 19, hashA);
  const ran = verify(daemon, dir.path);
  expect(await ran.code).toBe(4);
  expect(ran.out()).toContain('BROKEN: the log had 20 records');
});

test('a log whose remembered record is another one now is broken', async () => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun();
  serveHead(daemon, 20, hashA);
  await verify(daemon, dir.path).code;
  serveHead(daemon, 30, hashB);
  expect(await verify(daemon, dir.path).code).toBe(4);
  const run = orchestra(['run', 'x'], { cwd: dir.path, host: daemon.host });
  expect(await run.code).toBe(4);
});

test('another log at the same socket is broken until it is accepted on purpose', async () => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun();
  serveHead(daemon, 20, hashA);
  await verify(daemon, dir.path).code;
  serveHead(daemon, 5, hashB, 'log-2');
  expect(await verify(daemon, dir.path).code).toBe(4);
  expect(await verify(daemon, dir.path, '--accept-new-log').code).toBe(0);
  expect(await verify(daemon, dir.path).code).toBe(0);
});

test('a memory that cannot be read is not taken for an empty one', async () => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun();
  serveHead(daemon, 20, hashA);
  await verify(daemon, dir.path).code;
  const file = path.join(dir.path, '.state/orchestra-cli/heads.json');
  expect(JSON.parse(await readFile(file, 'utf8'))).toMatchObject({
    logs: { 'log-1': { size: 20 } },
  });
  await writeFile(file, '{');
  expect(await verify(daemon, dir.path).code).toBe(1);
});

test('a folder without a log could not be checked', async () => {
  await using dir = await tempDir();
  const ran = orchestra(['audit', 'verify', dir.path], { cwd: dir.path });
  expect(await ran.code).toBe(1);
  expect(ran.out()).toContain('COULD NOT BE CHECKED');
});

test('a head that is no head is a usage error', async () => {
  await using dir = await tempDir();
  const ran = orchestra(['audit', 'verify', dir.path, '--head', '3:xyz'], { cwd: dir.path });
  expect(await ran.code).toBe(1);
  expect(ran.err()).toContain('SIZE:HASH');
});

test('a copy is held to a key from elsewhere, and an extract of another log is broken', async () => {
  await using dir = await tempDir();
  const log = new SignedLog();
  lay(path.join(dir.path, 'copy'), { files: log.files() });
  lay(path.join(dir.path, 'run'), { files: log.bundle('r-a1') });
  const look = (...args: string[]) => orchestra(['audit', 'verify', ...args], { cwd: dir.path });
  const { vkey } = new SignedLog({ seed: 'z' });
  expect(await look('copy', '--key', log.vkey, '--strict').code).toBe(0);
  expect(await look('copy').code).toBe(0);
  expect(await look('copy', '--strict').code).toBe(4);
  expect(await look('copy', '--key', vkey).code).toBe(4);
  expect(await look('run', '--key', log.vkey, '--strict').code).toBe(0);
  const broken = look('run', '--key', vkey);
  expect(await broken.code).toBe(4);
  expect(broken.out()).toContain('wrong_epoch_key epochs.jsonl');
});
