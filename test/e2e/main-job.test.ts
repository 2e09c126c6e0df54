import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, readdir, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { RunView } from '#contract/run.ts';
import { TestDaemon, type Ran } from '#test/support/daemon.ts';

const examples = new URL('../../examples/', import.meta.url).pathname;

let daemon: TestDaemon;

beforeAll(async () => {
  daemon = await TestDaemon.start();
});

afterAll(async () => {
  await daemon?.[Symbol.asyncDispose]();
});

/** A copy that a test may change, the way a user's own directory is. */
async function copyOf(example: string): Promise<string> {
  const dir = await mkdtemp(join(daemon.dir, `${example}-`));
  cpSync(join(examples, example), dir, {
    recursive: true,
    filter: (path) => !/\/(?:node_modules|runs|dist)(?:\/|$)/.test(path),
  });
  return dir;
}

async function view(run: string): Promise<RunView> {
  const { stdout } = await daemon.cli(['show', run, '--json']);
  return RunView.parse(JSON.parse(stdout));
}

const runIn = (dir: string, args: readonly string[]): Promise<Ran> =>
  daemon.cli(['run', '--workspace', dir, ...args], { cwd: dir });

async function records(run: string, type: string): Promise<number> {
  const { stdout } = await daemon.cli(['audit', 'list', '--run', run, '--type', type, '--json']);
  return stdout.split('\n').filter((line) => line.includes(`"type":"${type}"`)).length;
}

test('the project in examples is planned, built and tested, and nothing of it is touched', async () => {
  const dir = await copyOf('typescript-project');
  const before = await readdir(dir);
  const ran = await runIn(dir, ['Build and test']);
  expect(ran.stderr + ran.stdout).toContain('succeeded');
  expect(ran.code).toBe(0);

  const run = await view('@last');
  expect(run.tasks.map((task) => [task.id, task.state, task.exitCode])).toEqual([
    ['install', 'succeeded', 0],
    ['build', 'succeeded', 0],
    ['lint', 'succeeded', 0],
    ['typecheck', 'succeeded', 0],
    ['test', 'succeeded', 0],
  ]);
  for (const task of run.tasks) expect(task.memoryPeakBytes).toBeGreaterThan(1024 * 1024);
  expect((await readdir(dir)).toSorted()).toEqual([...before, 'runs'].toSorted());

  const folder = join(dir, 'runs', run.id);
  expect((await readdir(folder)).toSorted()).toEqual([
    'checkpoint.json',
    'logs',
    'plan.json',
    'provenance.jsonl',
    'receipt.tlog-proof',
    'report.md',
    'run.closed.json',
  ]);
  const report = readFileSync(join(folder, 'report.md'), 'utf8');
  for (const part of ['**succeeded**', '| install | succeeded', 'peak memory', '## Audit']) {
    expect(report).toContain(part);
  }
  const checkpoint = JSON.parse(readFileSync(join(folder, 'checkpoint.json'), 'utf8')) as object;
  expect(checkpoint).toMatchObject({
    run_id: run.id,
    completed_tasks: ['install', 'build', 'lint', 'typecheck', 'test'],
    pending_tasks: [],
  });
});

test('a second run takes what the first one made, and starts and fetches nothing', async () => {
  const dir = await copyOf('typescript-project');
  const first = JSON.parse((await daemon.cli(['runs', '--json'])).stdout) as { items: RunView[] };
  const ran = await runIn(dir, ['Build']);
  expect(ran.code).toBe(0);
  const { id, tasks } = await view('@last');
  expect(tasks.map((task) => [task.id, task.state, task.from?.run, task.from?.why])).toEqual([
    ['install', 'cached', first.items[0]?.id, 'cache'],
    ['build', 'cached', first.items[0]?.id, 'cache'],
  ]);
  for (const type of ['container.release', 'provision.finished', 'package.fetched']) {
    expect(await records(id, type)).toBe(0);
  }
  expect((await daemon.cli(['artifacts', 'ls', id, '--json'])).stdout).toContain('"task":"build"');
});

test('a second run that is to run everything fetches no package again', async () => {
  const dir = await copyOf('typescript-project');
  const ran = await runIn(dir, ['Build', '--no-cache']);
  expect(ran.code).toBe(0);
  const { id, tasks } = await view('@last');
  expect(tasks.map(({ state }) => state)).toEqual(['succeeded', 'succeeded']);
  expect(await records(id, 'provision.finished')).toBe(1);
  expect(await records(id, 'package.fetched')).toBe(0);
});

test('what the run changed is shown, applied to the directory, and refused where that changed', async () => {
  const dir = await copyOf('planned-project');
  const ran = await runIn(dir, ['--plan', join(dir, 'plan.yaml')]);
  expect(ran.code).toBe(0);
  const { id, tasks } = await view('@last');
  expect(tasks.length).toBeGreaterThanOrEqual(8);

  const listed = JSON.parse((await daemon.cli(['artifacts', 'ls', id, '--json'])).stdout) as {
    items: { task: string; name: string; sha256: string }[];
  };
  expect(listed.items.length).toBeGreaterThan(0);
  const diff = await daemon.cli(['diff', id, '--json']);
  const { items } = JSON.parse(diff.stdout) as { items: { path: string; change: string }[] };
  const added = items.find((item) => item.change === 'added' && !item.path.endsWith('/'));
  expect(added).toBeDefined();

  const plain = await daemon.cli(['apply', id, '--workspace', dir], { cwd: dir });
  expect([plain.code, plain.stderr]).toEqual([0, expect.stringContaining('ignored here')]);
  expect(existsSync(join(dir, added?.path ?? ''))).toBe(false);

  const apply = (where: string, ...flags: string[]) =>
    daemon.cli(['apply', id, '--ignored', '--workspace', where, ...flags], { cwd: where });
  const checked = await apply(dir, '--check');
  expect(checked.code).toBe(0);
  expect(existsSync(join(dir, added?.path ?? ''))).toBe(false);
  const applied = await apply(dir);
  expect(applied.code).toBe(0);
  expect(existsSync(join(dir, added?.path ?? ''))).toBe(true);

  const other = await copyOf('planned-project');
  const file = items.find((item) => item.change === 'added' && item.path.includes('.'))?.path ?? '';
  cpSync(join(dir, file), join(other, file), { recursive: true });
  writeFileSync(join(other, file), 'somebody else wrote this');
  const refused = await apply(other);
  expect(refused.code).not.toBe(0);
  expect(readFileSync(join(other, file), 'utf8')).toBe('somebody else wrote this');
});

test('a failed task skips what depends on it, lets the rest finish, and the exit code is 2', async () => {
  const dir = await copyOf('failing-project');
  const ran = await runIn(dir, ['Build and test']);
  expect(ran.code).toBe(2);
  expect(ran.stderr + ran.stdout).toMatch(/exit 2/);
  const { state, tasks } = await view('@last-failed');
  expect(state).toBe('failed');
  expect(tasks.find((task) => task.id === 'test')).toMatchObject({ state: 'failed', exitCode: 1 });
  expect(tasks.find((task) => task.id === 'build')?.state).toBe('succeeded');
});

test('exec passes bytes and exit code of one command through', async () => {
  const dir = await copyOf('failing-project');
  const script =
    'process.stdout.write(Buffer.from([0,255,10]));process.stderr.write("e");process.exit(7)';
  const ran = await daemon.cli(['exec', '--', 'node', '-e', script], { cwd: dir });
  expect([ran.code, ran.stderr]).toEqual([7, 'e']);
  const shown = await daemon.cli(['exec', '--', 'sh', '-c', 'echo $(id -u) $(ls)'], { cwd: dir });
  expect(shown.stdout).toMatch(/^1000 .*package\.json/);
});

test('a link to the outside is left out and said so, and nothing of the host is seen', async () => {
  const dir = await copyOf('failing-project');
  await symlink('/etc/passwd', join(dir, 'link'));
  const ran = await daemon.cli(['exec', '-v', '--', 'sh', '-c', 'ls -a; cat link || true'], {
    cwd: dir,
  });
  expect(ran.stdout).not.toContain('link');
  expect(ran.stdout).not.toContain('root:');
  expect(ran.stderr).toContain('link');
});

test('the log verifies, and its index comes back identical after it was deleted', async () => {
  expect((await daemon.cli(['audit', 'verify'])).code).toBe(0);
  const ask = async () => (await daemon.cli(['runs', '--json'])).stdout;
  const list = async () => {
    const { text } = await daemon.ask('GET', '/v1/audit/records?limit=500&type=run.closed');
    // Up to which record it answers moves with the log.
    return (JSON.parse(text) as { items: unknown[] }).items;
  };
  const [runs, closed] = [await ask(), await list()];
  expect(await daemon.stop()).toBe(0);
  for (const suffix of ['', '-wal', '-shm']) {
    await rm(join(daemon.stateDir, 'audit', `index.sqlite${suffix}`), { force: true });
  }
  await daemon.restart();
  expect(await ask()).toBe(runs);
  expect(await list()).toEqual(closed);
  expect(closed.length).toBeGreaterThan(0);
});

test('a second daemon on the same state directory refuses', async () => {
  const second = TestDaemon.start(['--state-dir', daemon.stateDir]);
  await expect(second).rejects.toThrow('audit.locked');
});
