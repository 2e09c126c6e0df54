import { readdir, readFile, writeFile } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import path from 'node:path';
import { expect, test } from 'vitest';
import { daemonWithRun, digest, runId } from '#test/support/fake-daemon.ts';
import { orchestra } from '#test/support/run-orchestra.ts';
import { tempDir } from '#test/support/temp-dir.ts';

test('an output that is not the recorded one is not written', async () => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun();
  daemon.answer('artifactGet', { bytes: 'forged' });
  const around = { cwd: dir.path, host: daemon.host };
  expect(await orchestra(['artifacts', 'get', runId, 'dist'], around).code).toBe(70);
  expect(await readdir(dir.path)).toEqual([]);
});

test('an output is written here under the last part of its name', async () => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun();
  const around = { cwd: dir.path, host: daemon.host };
  expect(await orchestra(['artifacts', 'get', runId, 'build/dist'], around).code).toBe(0);
  expect(await readFile(path.join(dir.path, 'out.txt'), 'utf8')).toBe('hello');
});

test('an output that there is not names those there are', async () => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun();
  const around = { cwd: dir.path, host: daemon.host };
  const ran = orchestra(['artifacts', 'get', runId, 'nope'], around);
  expect(await ran.code).toBe(1);
  expect(ran.err()).toContain('there are: build/dist');
});

const contents: Record<string, string> = { old: 'a\nb\n', now: 'a\nc\n' };
const digestOf = (text: string) => `sha256:${createHash('sha256').update(text).digest('hex')}`;
const file = (name: string, text: string) => ({
  type: 'file',
  path: name,
  executable: false,
  bytes: text.length,
  digest: digestOf(text),
});

async function daemonWithChange(): ReturnType<typeof daemonWithRun> {
  const daemon = await daemonWithRun();
  const [old = '', now = ''] = [contents['old'], contents['now']];
  const change = {
    path: 'a.txt',
    change: 'modified',
    before: file('a.txt', old),
    after: file('a.txt', now),
  };
  return daemon
    .answer('runChanges', { json: { snapshot: digest, items: [change] } })
    .answer('runBlob', ({ params }) => ({
      bytes: params['digest'] === digestOf(old) ? old : now,
    }));
}

test('diff shows what changed in a text, and ends with 10 only when asked to', async () => {
  await using dir = await tempDir();
  await using daemon = await daemonWithChange();
  const around = { cwd: dir.path, host: daemon.host };
  const ran = orchestra(['diff', runId], around);
  expect(await ran.code).toBe(0);
  expect(ran.out()).toMatch(/~ a\.txt.*\n +@@ -1,2 \+1,2 @@\n +a\n +-b\n +\+c\n/);
  expect(await orchestra(['diff', runId, '--exit-code'], around).code).toBe(10);
});

test('diff --patch gives what git apply takes', async () => {
  await using dir = await tempDir();
  await using daemon = await daemonWithChange();
  const around = { cwd: dir.path, host: daemon.host };
  const ran = orchestra(['diff', runId, '--patch'], around);
  expect(await ran.code).toBe(0);
  expect(ran.out()).toContain('diff --git a/a.txt b/a.txt\nindex ');
  expect(ran.out()).toContain('--- a/a.txt\n+++ b/a.txt\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n');
});

test('apply writes the change; --check writes nothing; a changed file stops it all', async () => {
  await using dir = await tempDir();
  await using daemon = await daemonWithChange();
  const around = { cwd: dir.path, host: daemon.host };
  const place = path.join(dir.path, 'a.txt');
  await writeFile(place, 'a\nb\n');
  expect(await orchestra(['apply', runId, '--check'], around).code).toBe(0);
  expect(await readFile(place, 'utf8')).toBe('a\nb\n');
  expect(await orchestra(['apply', runId], around).code).toBe(0);
  expect(await readFile(place, 'utf8')).toBe('a\nc\n');
  await writeFile(place, 'mine\n');
  expect(await orchestra(['apply', runId], around).code).not.toBe(0);
  expect(await readFile(place, 'utf8')).toBe('mine\n');
});
