import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { daemonWithRun } from '#test/support/fake-daemon.ts';
import { orchestra } from '#test/support/run-orchestra.ts';
import { tempDir } from '#test/support/temp-dir.ts';

test('nothing is erased without a reason, nor without a yes where nobody can be asked', async () => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun();
  const asked: unknown[] = [];
  daemon.answer('auditErase', ({ params }) => {
    asked.push(params);
    return { json: { subject: 'subj_0123456789abcdef' } };
  });
  const around = { cwd: dir.path, host: daemon.host };
  expect(await orchestra(['audit', 'erase', 'ada', '--yes'], around).code).toBe(1);
  const unasked = orchestra(['audit', 'erase', 'ada', '--reason', 'she asked'], around);
  expect(await unasked.code).toBe(6);
  expect(unasked.err()).toContain('cannot be brought back');
  expect(asked).toEqual([]);
  const args = ['audit', 'erase', 'ada', '--reason', 'she asked', '--yes'];
  const done = orchestra(args, around);
  expect(await done.code).toBe(0);
  expect(asked).toEqual([{ subject: 'ada' }]);
  expect(done.out()).toContain('erased subj_0123456789abcdef');
});

test('what is disclosed is written as it was told', async () => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun();
  const around = { cwd: dir.path, host: daemon.host };
  expect(await orchestra(['audit', 'disclose', 'ten'], around).code).toBe(1);
  expect(await orchestra(['audit', 'disclose', '10', '-o', 'told.json'], around).code).toBe(0);
  const told: unknown = JSON.parse(await readFile(path.join(dir.path, 'told.json'), 'utf8'));
  expect(told).toMatchObject({ seq: 10, field: 'intent', value: 'Build and test' });
});
