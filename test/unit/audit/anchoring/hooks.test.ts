import { existsSync, readFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { KnownLog } from '#test/support/known-log.ts';
import { tempDir } from '#test/support/temp-dir.ts';
import { spellNote } from '#verifier/tlog/note.ts';
import { actor, openStage } from './stage.ts';

const hook = (script: string, more: object = {}) => ({
  anchors: [{ name: 'out', command: ['/bin/sh', '-c', script], every: '1ms', ...more }],
});

test.each([
  ['exit 3', 'exit', 'exit 3'],
  ['echo why >&2; exit 1', 'exit', 'why'],
  ['kill -9 $$', 'exit', 'SIGKILL'],
  ['while :; do echo 0123456789012345678901234567890123456789; done', 'output', 'bytes printed'],
])('a hook that does `%s` has failed, and says why', async (script, reason, detail) => {
  await using stage = await openStage(hook(script));
  await stage.anchoring.now(actor, 10_000);
  const [failed] = stage.log.of('anchor.failed');
  expect(failed?.data).toMatchObject({ anchor: 'out', size: 4, reason });
  expect(failed?.data.detail).toContain(detail);
  expect(stage.anchoring.view()).toMatchObject({ anchored: 0 });
});

test('a program that is not there is a hook that failed', async () => {
  await using stage = await openStage({ anchors: [{ name: 'out', command: ['/no/such'] }] });
  await stage.anchoring.now(actor, 10_000);
  expect(stage.log.of('anchor.failed')[0]?.data).toMatchObject({ reason: 'start' });
});

test('a hook that hangs is killed at its deadline with whatever it started', async () => {
  await using dir = await tempDir();
  const file = join(dir.path, 'pid');
  const script = `sleep 300 & echo $! > ${file}; wait`;
  await using stage = await openStage(hook(script, { timeout: '150ms' }));
  await stage.anchoring.now(actor, 10_000);
  expect(stage.log.of('anchor.failed')[0]?.data).toMatchObject({ reason: 'timeout' });
  const pid = (await readFile(file, 'utf8')).trim();
  await vi.waitFor(() => expect(isRunning(pid)).toBe(false));
});

test('what a hook leaves behind in its group does not outlive it, nor hold anybody up', async () => {
  await using dir = await tempDir();
  const file = join(dir.path, 'pid');
  await using stage = await openStage(hook(`sleep 300 & echo $! > ${file}`));
  await stage.anchoring.now(actor, 10_000);
  expect(stage.log.of('anchor.sent')).toHaveLength(1);
  const pid = (await readFile(file, 'utf8')).trim();
  await vi.waitFor(() => expect(isRunning(pid)).toBe(false));
});

test('a hook that hangs holds up neither another one nor the end of the daemon', async () => {
  const log = new KnownLog();
  const anchors = [
    { name: 'hung', command: ['/bin/sleep', '300'], timeout: '1h' },
    { name: 'fine', command: ['/bin/true'] },
  ];
  await using stage = await openStage({ anchors }, { log });
  await log.checkpoints.sign();
  await vi.waitFor(() => expect(log.of('anchor.sent')).toHaveLength(1));
  const view = stage.anchoring.view();
  expect(view).toMatchObject({ anchored: 3, targets: [{ state: 'sending' }, { state: 'idle' }] });
  await stage.anchoring.close();
  expect(log.of('anchor.failed')).toEqual([]);
});

test('a hook gets the signed checkpoint and nothing of the daemon’s environment', async () => {
  await using dir = await tempDir();
  vi.stubEnv('ORCHESTRA_TEST_SECRET', 'hunter2');
  const script = `cat > ${dir.path}/note; env > ${dir.path}/env; pwd > ${dir.path}/pwd`;
  await using stage = await openStage(hook(script));
  await stage.anchoring.now(actor, 10_000);
  vi.unstubAllEnvs();
  const { newest } = stage.log.checkpoints;
  expect(await readFile(join(dir.path, 'note'), 'utf8')).toBe(newest && spellNote(newest.note));
  const env = await readFile(join(dir.path, 'env'), 'utf8');
  const names = env.split('\n').flatMap((line) => /^(\w+)=/.exec(line)?.[1] ?? []);
  expect(
    names.filter((name) => !['PWD', 'SHLVL', '_', 'OLDPWD'].includes(name)).toSorted(),
  ).toEqual([
    'HOME',
    'LC_ALL',
    'ORCHESTRA_ANCHOR',
    'ORCHESTRA_ORIGIN',
    'ORCHESTRA_SIZE',
    'PATH',
    'TZ',
  ]);
  expect(await readFile(join(dir.path, 'pwd'), 'utf8')).toBe('/\n');
  expect(stage.log.of('anchor.sent')[0]?.data).toMatchObject({ anchor: 'out', size: 4 });
  // Who asked for it is on record first.
  expect(stage.log.of('anchor.requested')[0]).toMatchObject({ actor, data: { size: 3 } });
});

test('a hook that does not read what it is given has not failed', async () => {
  await using stage = await openStage(hook('exec 0<&-; exit 0'));
  await stage.anchoring.now(actor, 10_000);
  expect(stage.log.of('anchor.sent')).toHaveLength(1);
});

test('a hook that failed is tried again by itself, less and less often', async () => {
  await using dir = await tempDir();
  const file = join(dir.path, 'tries');
  const script = `echo x >> ${file}; [ "$(wc -l < ${file})" -ge 3 ]`;
  await using stage = await openStage(hook(script));
  await stage.log.checkpoints.sign();
  await vi.waitFor(() => expect(stage.log.of('anchor.sent')).toHaveLength(1), 5_000);
  // The same reason twice is on record once.
  expect(stage.log.of('anchor.failed')).toHaveLength(1);
});

test('checkpoints that come while a hook works are one more, not one each', async () => {
  await using dir = await tempDir();
  const file = join(dir.path, 'sizes');
  const script = `echo $ORCHESTRA_SIZE >> ${file}; while [ ! -e ${file}.go ]; do sleep 0.01; done`;
  const log = new KnownLog();
  await using _stage = await openStage(hook(script), { log });
  for (let i = 0; i < 10; i += 1) {
    await log.grow(1);
    await log.checkpoints.sign();
  }
  await vi.waitFor(() => expect(existsSync(file)).toBe(true));
  await writeFile(`${file}.go`, '');
  await vi.waitFor(() => expect(log.of('anchor.sent')).toHaveLength(2));
  expect(await readFile(file, 'utf8')).toBe('4\n13\n');
});

function isRunning(pid: string): boolean {
  try {
    process.kill(Number(pid), 0);
    // A dead one that nobody asked after yet.
    return !/State:\s+Z/.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}
