import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { CheckpointFile } from '#cli/run/checkpoint-file.ts';
import { Client } from '#cli/client/client.ts';
import type { LogRecord } from '#contract/records.ts';
import {
  chained,
  daemonWithRun,
  runId,
  runView,
  taskView,
  type FakeDaemon,
} from '#test/support/fake-daemon.ts';
import { orchestra } from '#test/support/run-orchestra.ts';
import { tempDir } from '#test/support/temp-dir.ts';

const [, saved] = chained([
  { type: 'run.submitted', data: {} },
  { type: 'checkpoint.saved', data: {} },
]) as [LogRecord, LogRecord];

/** A daemon whose run never ends, with a checkpoint at its beginning. */
async function endless(): Promise<FakeDaemon> {
  const daemon = await daemonWithRun();
  async function* events(): AsyncGenerator<LogRecord> {
    yield* chained([
      { type: 'run.submitted', data: {} },
      { type: 'checkpoint.saved', data: {} },
    ]);
    await new Promise<never>(() => undefined);
  }
  const running = runView({ state: 'running', tasks: [taskView({ state: 'running' })] });
  return daemon
    .answer('runShow', { json: running })
    .answer('runEvents', () => ({ records: events() }));
}

test('the checkpoint is there while the run goes on, and after it was left to itself', async () => {
  await using dir = await tempDir();
  await using daemon = await endless();
  const file = path.join(dir.path, 'runs', runId, 'checkpoint.json');
  const ran = orchestra(['run', 'x'], { cwd: dir.path, host: daemon.host });
  await expect.poll(() => readFile(file, 'utf8').catch(() => '')).toContain(runId);
  ran.send('SIGINT');
  ran.send('SIGINT');
  expect(await ran.code).toBe(130);
  expect(JSON.parse(await readFile(file, 'utf8'))).toMatchObject({ version: 1, run_id: runId });
  expect(await readdir(path.dirname(file))).toEqual(['checkpoint.json']);
});

test('where it cannot be written, whoever leaves the run is told, and the run is not hurt', async () => {
  await using dir = await tempDir();
  await using daemon = await endless();
  await writeFile(path.join(dir.path, 'runs'), 'in the way');
  const ran = orchestra(['run', 'x'], { cwd: dir.path, host: daemon.host });
  await expect.poll(() => daemon.namesAsked()).toContain('runEvents');
  await expect.poll(() => ran.err()).toContain('running');
  ran.send('SIGINT');
  ran.send('SIGINT');
  expect(await ran.code).toBe(130);
  expect(ran.err()).toContain('its checkpoint was not written');
});

test('many checkpoints at once make few writes, and the newest is the one that stays', async () => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun();
  let answered = 0;
  const first = (await answerOf(daemon)) as object;
  daemon.answer('runCheckpoint', () => ({ json: { ...first, timeout_ms: ++answered } }));
  const client = new Client(daemon.socketPath);
  const file = new CheckpointFile(client, runId, { base: dir.path, within: dir.path });
  for (let count = 0; count < 1000; count++) file.see(saved);
  expect(await file.settled()).toBeUndefined();
  client.close();
  expect(answered).toBe(2);
  const text = await readFile(path.join(dir.path, runId, 'checkpoint.json'), 'utf8');
  expect(JSON.parse(text)).toMatchObject({ timeout_ms: 2 });
  file.see(saved);
  expect(answered).toBe(2);
});

test('a link where the folder should be is not followed', async () => {
  await using dir = await tempDir();
  await using outside = await tempDir();
  await using daemon = await daemonWithRun();
  await mkdir(path.join(dir.path, 'runs'));
  await symlink(outside.path, path.join(dir.path, 'runs', runId));
  const client = new Client(daemon.socketPath);
  const place = { base: path.join(dir.path, 'runs'), within: dir.path };
  const file = new CheckpointFile(client, runId, place);
  file.see(saved);
  expect(await file.settled()).toMatchObject({ code: 'workspace.invalid' });
  client.close();
  expect(await readdir(outside.path)).toEqual([]);
});

async function answerOf(daemon: FakeDaemon): Promise<unknown> {
  const client = new Client(daemon.socketPath);
  const answer = await client.call('runCheckpoint', { params: { id: runId } });
  client.close();
  return answer;
}
