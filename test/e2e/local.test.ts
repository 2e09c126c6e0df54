import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runCli } from '#test/support/daemon.ts';

const main = new URL('../../cli/main.ts', import.meta.url).pathname;

let dir: string;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'orc-local-'));
});

afterEach(async () => {
  await rm(dir, { recursive: true, force: true });
});

/** Daemons on this test's state directory, by their command lines. */
async function daemons(): Promise<string[]> {
  const found: string[] = [];
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (line.includes('daemon/main.ts') && line.includes(join(dir, 'state'))) found.push(pid);
  }
  return found;
}

const local = ['--local', '--state-dir'];

test('--local runs a command with a daemon of its own and leaves none behind', async () => {
  const ran = await runCli([...local, join(dir, 'state'), 'exec', '--', 'node', '-p', '6*7'], {
    cwd: dir,
  });
  expect([ran.code, ran.stdout]).toEqual([0, '42\n']);
  expect(await daemons()).toEqual([]);
  const later = await runCli([...local, join(dir, 'state'), 'runs', '--json'], { cwd: dir });
  expect(later.stdout).toContain('"state":"succeeded"');
});

test('a --local daemon does not outlive a command that was killed', async () => {
  const args = [main, ...local, join(dir, 'state'), 'exec', '--', 'sh', '-c', 'sleep 120'];
  const child = spawn(process.execPath, args, { cwd: dir, stdio: 'ignore' });
  while ((await daemons()).length === 0) await sleep(50);
  await sleep(1000);
  child.kill('SIGKILL');
  await once(child, 'exit');
  for (let waited = 0; waited < 60_000 && (await daemons()).length > 0; waited += 100) {
    await sleep(100);
  }
  expect(await daemons()).toEqual([]);
});
