import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RunView, TaskView } from '#contract/run.ts';
import { containersOf } from '#test/support/containers.ts';
import { TestDaemon } from '#test/support/daemon.ts';

const MiB = 1024 ** 2;

type Wish = { script: string; node?: boolean; limits: Record<string, unknown> };

/** Each takes more of one thing than it may; most would go on for ever if nobody ended them. */
const greedy: Record<string, Wish> = {
  memory: {
    // The one that is killed is a child: the task itself could sleep on.
    script: `node -e 'const a = []; for (;;) a.push(Buffer.alloc(1 << 20, 1))'; sleep 300`,
    limits: { memory: '64MiB' },
  },
  pids: {
    node: true,
    script: `
      const { spawn } = require('child_process');
      for (let i = 0; i < 60; i += 1) spawn('sleep', ['300']).on('error', () => {});`,
    limits: { pids: 32 },
  },
  handles: {
    node: true,
    script: `
      const fs = require('fs');
      try { for (;;) fs.openSync('/dev/null'); } catch {}
      setTimeout(() => process.exit(1), 1500);`,
    limits: { open_files: 64 },
  },
  size: { script: 'exec dd if=/dev/zero of=big bs=1M count=8', limits: { file_size: '2MiB' } },
  disk: {
    script: 'i=0; while :; do dd if=/dev/zero of=f$i bs=1M count=4 2>/dev/null; i=$((i+1)); done',
    limits: { disk: '64MiB' },
  },
  nameless: {
    node: true,
    script: `
      const fs = require('fs');
      const fd = fs.openSync('hidden', 'w');
      fs.unlinkSync('hidden');
      const step = () => { fs.writeSync(fd, Buffer.alloc(1 << 20, 1)); setTimeout(step, 5); };
      step();`,
    limits: { disk: '64MiB' },
  },
  parting: {
    script: 'dd if=/dev/zero of=big bs=1M count=32 2>/dev/null; exit 0',
    limits: { disk: '16MiB' },
  },
  files: {
    node: true,
    script: `
      const fs = require('fs');
      let n = 0;
      const step = () => { for (let i = 0; i < 20; i += 1) fs.writeFileSync('f' + n++, ''); setTimeout(step, 2); };
      step();`,
    limits: { disk_files: 1000 },
  },
  tmp: {
    script: 'dd if=/dev/zero of=/tmp/big bs=1M count=8 2>/dev/null; exit 1',
    limits: { tmp: '2MiB' },
  },
  output: { script: 'exec yes', limits: { output: '64KiB' } },
  time: {
    script: 'trap "" TERM INT; while :; do echo on; sleep 1; done',
    limits: { timeout: '2s' },
  },
  silence: { script: 'echo hello; while :; do :; done', limits: { idle: '2s', cpus: 0.2 } },
};

const modest: Record<string, Wish> = {
  // So little that it is held back however busy the machine is with others.
  cpu: {
    script: 'i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done',
    limits: { cpus: 0.02 },
  },
  // Far above its limits in what it removes again: what it leaves and holds is what counts.
  tidy: {
    script:
      'for i in 1 2 3 4 5 6; do dd if=/dev/zero of=f bs=1M count=8 2>/dev/null; rm f; done; echo > f',
    limits: { disk: '32MiB', disk_files: 10 },
  },
  steady: {
    script: 'for i in 1 2 3 4 5 6; do echo $i; sleep 0.5; done',
    limits: { idle: '2s' },
  },
  sparse: {
    script: 'dd if=/dev/zero of=hole bs=1 count=1 seek=200M 2>/dev/null',
    limits: { disk: '16MiB' },
  },
};

let daemon: TestDaemon;
let run: RunView;
let tasks: Record<string, TaskView>;
let shown: string;
let report: string;

beforeAll(async () => {
  daemon = await TestDaemon.start();
  const dir = join(daemon.dir, 'work');
  const wishes = { ...greedy, ...modest };
  for (const id of Object.keys(wishes)) {
    mkdirSync(join(dir, id), { recursive: true });
    writeFileSync(join(dir, id, 'own.txt'), 'own');
  }
  const plan = {
    version: 1,
    tasks: Object.entries(wishes).map(([id, { script, node, limits }]) => ({
      id,
      cwd: id,
      tool: node === true ? 'node' : 'sh',
      args: [node === true ? '-e' : '-c', script],
      limits,
    })),
  };
  const file = join(daemon.dir, 'plan.yaml');
  writeFileSync(file, JSON.stringify(plan));
  const reports = join(daemon.dir, 'reports');
  const args = ['run', '--plan', file, '--output', 'plain', '--report-dir', reports];
  const ran = await daemon.cli(args, { cwd: dir });
  const { stdout } = await daemon.cli(['show', '@last', '--json']);
  run = JSON.parse(stdout) as RunView;
  if (run.tasks.length === 0) throw new Error(`the plan was refused: ${ran.stdout}${ran.stderr}`);
  tasks = Object.fromEntries(run.tasks.map((task) => [task.id, task]));
  shown = (await daemon.cli(['show', run.id])).stdout;
  report = (await daemon.cli(['report', run.id])).stdout;
}, 240_000);

afterAll(async () => {
  await daemon?.[Symbol.asyncDispose]();
});

test.each([
  ['memory', 'memory', 64 * MiB, 60 * MiB, 64 * MiB],
  ['pids', 'pids', 32, 32, 32],
  ['handles', 'open_files', 64, 64, 64],
  ['size', 'file_size', 2 * MiB, 2 * MiB, 2 * MiB],
  // How far past it: what is written between two looks, and until the kill.
  ['disk', 'disk', 64 * MiB, 64 * MiB, 4096 * MiB],
  ['nameless', 'disk', 64 * MiB, 64 * MiB, 1024 * MiB],
  ['parting', 'disk', 16 * MiB, 16 * MiB, 33 * MiB],
  ['files', 'disk_files', 1000, 1001, 100_000],
  ['tmp', 'tmp', 2 * MiB, 2 * MiB, 2 * MiB],
  ['output', 'output', 64 * 1024, 64 * 1024, 4096 * MiB],
  ['time', 'timeout', 2000, 2000, 30_000],
  ['silence', 'idle', 2000, 2000, 30_000],
] as const)(
  'a task that takes too much, %s, ends by limit.%s with what was allowed and used',
  (id, limit, allowed, least, most) => {
    const task = tasks[id];
    expect(task).toMatchObject({ limit, limitAllowed: allowed });
    expect(task?.limitPeak).toBeGreaterThanOrEqual(least);
    expect(task?.limitPeak).toBeLessThanOrEqual(most);
    expect(task?.state).toBe(['time', 'silence'].includes(id) ? 'timed_out' : 'failed');
    expect(task?.reason).toMatch(new RegExp(`^limit\\.${limit}: .+ allowed, .+ used$`));
    for (const text of [shown, report.replaceAll('\\', '')]) expect(text).toContain(task?.reason);
  },
);

test.each(Object.keys(modest))('a task within its limits, %s, succeeds', (id) => {
  expect(tasks[id]).toMatchObject({ state: 'succeeded' });
});

test('the most that each task used is told', () => {
  for (const task of run.tasks) {
    expect(task).toMatchObject({
      cpuMs: expect.any(Number),
      memoryPeakBytes: expect.any(Number),
      diskBytes: expect.any(Number),
      diskFiles: expect.any(Number),
    });
  }
  expect(tasks['cpu']?.cpuThrottledMs).toBeGreaterThan(100);
  expect(tasks['tmp']?.tmpPeakBytes).toBeGreaterThan(MiB);
  expect(tasks['steady']?.pidsPeak).toBeGreaterThan(1);
  expect(tasks['tidy']).toMatchObject({ diskFiles: 2 });
  expect(report).toContain('## Used at most');
});

test('nothing of them is left: no container, no process, and the run exits as timed out', async () => {
  await expect.poll(async () => containersOf(run.id, daemon.stateDir)).toEqual([]);
  expect(run.exitCode).toBe(3);
  const mounts = readFileSync('/proc/self/mounts', 'utf8');
  expect(mounts).not.toContain(join(daemon.stateDir, 'l'));
});
