import { execFileSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  statfsSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { RunView } from '#contract/run.ts';
import { enginePaths } from '#setup/paths.ts';
import { TestDaemon } from '#test/support/daemon.ts';

const isRoot = process.getuid?.() === 0;

let daemon: TestDaemon;
let disk: string;

/** A small disk of its own, where an engine in another mount namespace sees it too. */
beforeEach(async () => {
  if (!isRoot) return;
  const { slotsDir } = enginePaths(process.env);
  disk = mkdtempSync(join(existsSync(slotsDir) ? slotsDir : tmpdir(), 'full-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=192m,mode=755', 'tmpfs', disk]);
  daemon = await TestDaemon.start(['--state-dir', join(disk, 'state')]);
});

afterEach(async () => {
  if (!isRoot) return;
  await daemon[Symbol.asyncDispose]();
  execFileSync('umount', ['--lazy', disk]);
  rmSync(disk, { recursive: true, force: true });
});

/** Somebody else takes all that is left, to the last block. */
function fill(): string {
  const file = join(disk, 'somebody-elses');
  const fd = openSync(file, 'w');
  for (let size = 1 << 20; size >= 512;) {
    try {
      writeSync(fd, Buffer.alloc(size, 1));
    } catch {
      size /= 2;
    }
  }
  closeSync(fd);
  return file;
}

async function start(script: string): Promise<{ run: Promise<{ code: number | null }> }> {
  const dir = join(daemon.dir, 'work');
  mkdirSync(dir, { recursive: true });
  const plan = {
    version: 1,
    tasks: [
      { id: 'one', tool: 'sh', args: ['-c', script] },
      { id: 'two', tool: 'sh', args: ['-c', 'echo two'], deps: ['one'] },
    ],
  };
  const file = join(daemon.dir, 'plan.yaml');
  writeFileSync(file, JSON.stringify(plan));
  const reports = join(daemon.dir, 'reports');
  const args = ['run', '--plan', file, '--output', 'plain', '--report-dir', reports];
  return { run: daemon.cli(args, { cwd: dir }) };
}

async function lastRun(): Promise<RunView> {
  return JSON.parse((await daemon.cli(['show', '@last', '--json'])).stdout) as RunView;
}

async function untilRunning(): Promise<void> {
  for (let waited = 0; waited < 20_000; waited += 100) {
    const { code, stdout } = await daemon.cli(['show', '@last', '--json']);
    const view = code === 0 ? (JSON.parse(stdout) as RunView) : undefined;
    if (view?.tasks[0]?.state === 'running') return;
    if (view?.closedAt !== undefined) throw new Error(`the run is over: ${stdout}`);
    await sleep(100);
  }
  throw new Error('no task came to run');
}

/** Everything that was ever acknowledged is there, and follows from what was before it. */
async function verified(): Promise<void> {
  const log = join(disk, 'state', 'audit');
  const { code, stdout, stderr } = await daemon.cli(['audit', 'verify', log]);
  expect([code, stdout + stderr]).toEqual([0, expect.stringMatching(/./)]);
}

test.skipIf(!isRoot)(
  'a disk that somebody else fills ends what runs, loses no record, and is used again once it has room',
  async () => {
    const { pid } = daemon;
    const { run } = await start('while :; do echo working; sleep 0.05; done');
    await untilRunning();
    const filler = fill();
    expect(statfsSync(disk).bavail).toBe(0);
    const { code } = await run;
    expect(code).not.toBe(0);
    const view = await lastRun();
    expect(view.closedAt).toBeDefined();
    expect(view.tasks[0]?.state).toBe('failed');
    expect(view.tasks[0]?.reason).toMatch(/^disk\.(?:low|full): /);
    await verified();
    const records = view.audit.records;
    expect(records).toBeGreaterThan(10);

    const refused = await daemon.cli(['exec', '--', 'true'], { cwd: join(daemon.dir, 'work') });
    expect(refused.code).toBe(5);
    expect(refused.stdout + refused.stderr).toMatch(/disk\.(?:low|full)/);
    writeFileSync(join(daemon.dir, 'work', 'new.txt'), 'not uploaded before');
    const upload = await daemon.cli(['exec', '--', 'true'], { cwd: join(daemon.dir, 'work') });
    expect([upload.code, upload.stdout + upload.stderr]).toEqual([
      5,
      expect.stringContaining('disk.low'),
    ]);
    const doctor = await daemon.cli(['doctor']);
    expect(doctor.stdout).toMatch(/nothing is started/);

    rmSync(filler);
    const again = await daemon.cli(['exec', '--', 'echo', 'back'], {
      cwd: join(daemon.dir, 'work'),
    });
    expect([again.code, again.stdout]).toEqual([0, expect.stringContaining('back')]);
    expect(daemon.pid).toBe(pid);
    await verified();
    // The index had no room to follow the log; it goes on by itself.
    await expect.poll(async () => (await daemon.cli(['audit', 'tail'])).code).toBe(0);
  },
);

test.skipIf(!isRoot)(
  'a task that fills the disk is ended before it is full, and its room is given back',
  async () => {
    const script =
      'i=0; while dd if=/dev/zero of=f$i bs=1M count=1 2>/dev/null; do i=$((i+1)); done; sleep 60';
    const { run } = await start(script);
    expect((await run).code).not.toBe(0);
    const view = await lastRun();
    expect(view.tasks[0]).toMatchObject({ state: 'failed' });
    expect(view.tasks[0]?.reason).toMatch(/^disk\.low: /);
    await verified();
    const again = await daemon.cli(['exec', '--', 'echo', 'back'], {
      cwd: join(daemon.dir, 'work'),
    });
    expect([again.code, again.stdout]).toEqual([0, expect.stringContaining('back')]);
  },
);
