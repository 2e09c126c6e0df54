import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TaskReceipt } from '#contract/explain.ts';
import type { RunView, TaskView } from '#contract/run.ts';
import { TestDaemon } from '#test/support/daemon.ts';

let daemon: TestDaemon;
let dir: string;

beforeAll(async () => {
  daemon = await TestDaemon.start();
  dir = join(daemon.dir, 'work');
  mkdirSync(dir);
  writeFileSync(join(dir, 'own.txt'), 'own');
});
afterAll(async () => {
  await daemon?.[Symbol.asyncDispose]();
});

type Wish = { tool?: 'sh' | 'node' | 'npx' | 'npm'; args: string[]; limits?: object };

/** Runs each wish as a task of its own that harms no other. */
async function run(wishes: Record<string, Wish>): Promise<{ code: number | null; run: RunView }> {
  const tasks = Object.entries(wishes).map(([id, { tool = 'sh', args, limits = {} }]) => ({
    id,
    tool,
    args,
    limits,
    on_failure: 'continue',
  }));
  const file = join(daemon.dir, 'plan.yaml');
  writeFileSync(file, JSON.stringify({ version: 1, tasks }));
  const reports = join(daemon.dir, 'reports');
  const flags = ['--plan', file, '--output', 'plain', '--report-dir', reports];
  const { code } = await daemon.cli(['run', ...flags], { cwd: dir });
  const { stdout } = await daemon.cli(['show', '@last', '--json']);
  return { code, run: JSON.parse(stdout) as RunView };
}

const sh = (script: string, limits = {}): Wish => ({ args: ['-c', script], limits });
const node = (script: string, limits = {}): Wish => ({
  tool: 'node',
  args: ['-e', script],
  limits,
});
const rulesOf = (task: TaskView) => (task.hints ?? []).map(({ id }) => id);

test('real programs that run into a wall are told which, and their exit codes stay theirs', async () => {
  const wanted: Record<string, [Wish, string[]]> = {
    wget: [sh('wget -O- http://example.com'), ['network.name']],
    fetch: [
      node("fetch('https://example.com').catch((e) => { console.error(e); process.exit(1) })"),
      ['network.name'],
    ],
    address: [node("require('net').connect(80, '1.1.1.1')"), ['network.unreachable']],
    loopback: [node("require('net').connect(5432, '127.0.0.1')"), ['network.local']],
    npm: [sh('npm view left-pad'), ['packages.unpinned']],
    root: [sh('echo x > /etc/foo'), ['root.readonly']],
    file: [node("require('fs').writeFileSync('/usr/x', '1')"), ['root.readonly']],
    kernel: [sh('echo 1 > /proc/sys/net/ipv4/ip_forward'), ['kernel.readonly']],
    program: [sh('cp /bin/busybox /tmp/sh && /tmp/sh true'), ['tmp.noexec']],
    owner: [sh('chown 0 own.txt'), ['capabilities.none']],
    tool: [sh('git status'), ['image.tool']],
    device: [sh('cat /dev/mem'), ['devices.none']],
    secret: [sh('cat /run/secrets/NPM_TOKEN'), ['secrets.absent']],
  };
  const wishes = Object.fromEntries(Object.entries(wanted).map(([id, [wish]]) => [id, wish]));
  const { code, run: view } = await run(wishes);
  const got = Object.fromEntries(view.tasks.map((task) => [task.id, rulesOf(task)]));
  expect(got).toEqual(Object.fromEntries(Object.entries(wanted).map(([id, [, ids]]) => [id, ids])));
  expect(view.tasks.map(({ state }) => state)).toEqual(view.tasks.map(() => 'failed'));
  for (const { hints } of view.tasks) {
    expect(hints?.[0]).toMatchObject({ basis: 'output' });
    expect(hints?.[0]?.line).not.toBe('');
  }
  expect(code).toBe(2);
});

test('a full tmp is told from what the daemon saw', async () => {
  const { run: view } = await run({ full: sh('cat /dev/zero > /tmp/x', { tmp: '8MiB' }) });
  expect(view.tasks[0]?.hints).toMatchObject([{ rule: 'limits.tmp' }]);
});

test('a call that the filter kills for is on record and ends the run with 4', async () => {
  const { code, run: view } = await run({ mount: sh('exec mount -t tmpfs none /workspace') });
  expect(code).toBe(4);
  expect(view).toMatchObject({ state: 'violated', exitCode: 4 });
  expect(view.tasks[0]).toMatchObject({ state: 'violated', signal: 'SIGSYS', exitCode: 159 });
  expect(view.tasks[0]?.hints).toMatchObject([{ rule: 'seccomp', basis: 'record' }]);
  const listed = await daemon.cli(['audit', 'list', '--type', 'sandbox.violation', '--json']);
  expect(listed.stdout).toContain('"rule":"seccomp"');
});

test('a receipt is what the sandbox really had, read back from the log', async () => {
  const limits = { memory: '64MiB', pids: 40, timeout: '20s' };
  await run({ look: sh('cat /proc/self/limits /proc/self/status', limits) });
  const { stdout } = await daemon.cli(['explain', '@last', 'look', '--json']);
  const receipt = JSON.parse(stdout) as TaskReceipt;
  expect(receipt.receipt?.data.settings).toMatchObject({
    memory_bytes: 64 * 1024 ** 2,
    memory_swap_bytes: 64 * 1024 ** 2,
    network: 'none',
    readonly_root: true,
    privileged: false,
  });
  expect(receipt.receipt?.data.settings.seccomp).toMatch(/^sha256:[0-9a-f]{64}$/);
  expect(receipt.receipt?.data.kernel).not.toBe('');
  const row = receipt.settings.find(({ name }) => name === 'limits.pids');
  expect(row?.decidedBy.join()).toContain('plan asked for less');
  const status = await daemon.cli(['logs', '@last', 'look']);
  expect(status.stdout).toMatch(/^.*Seccomp:\s+2$/m);
  expect(JSON.stringify(receipt)).not.toContain(daemon.stateDir);
});

test('what a task may write to, it can: the workspace, the memory file systems, its home', async () => {
  const { code, run: view } = await run({
    write: sh('for d in . "$TMPDIR" "$HOME"; do echo x > "$d/mine" || exit 1; done'),
  });
  expect(view.tasks[0]?.hints).toBeUndefined();
  expect(code).toBe(0);
});
