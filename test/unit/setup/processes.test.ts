import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { isDead, livePid, pidsBelowCgroup } from '#setup/engine/processes.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(path.join(tmpdir(), 'pids-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

test('a pid file that names a living stranger names nobody', () => {
  const pidFile = path.join(dir, 'engine.pid');
  writeFileSync(pidFile, String(process.pid));
  expect(livePid(pidFile)).toBeUndefined();
});

test.each(['', 'x', '-1', '0', '1', '1e99', '99999999999999999999'])(
  'a pid file that holds %j names nobody',
  (text) => {
    const pidFile = path.join(dir, 'engine.pid');
    writeFileSync(pidFile, text);
    expect(livePid(pidFile)).toBeUndefined();
  },
);

test('a pid file names the process that was started with it, until that one dies', async () => {
  const pidFile = path.join(dir, 'engine.pid');
  const child = spawn('sleep', ['600'], { argv0: pidFile });
  await once(child, 'spawn');
  writeFileSync(pidFile, `${child.pid}\n`);
  expect(livePid(pidFile)).toBe(child.pid);
  child.kill('SIGKILL');
  await once(child, 'exit');
  expect(livePid(pidFile)).toBeUndefined();
});

test('a process that nobody has reaped yet is dead', async () => {
  // The shell becomes `sleep` and never waits for the child it had: that stays as a zombie.
  const parent = spawn('sh', ['-c', '(exit 0) & echo $!; exec sleep 600'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(parent.stdout, 'data')) as [Buffer];
  const zombie = Number(line.toString());
  await expect.poll(() => isDead(zombie)).toBe(true);
  parent.kill('SIGKILL');
  await once(parent, 'exit');
});

test('processes are found below a cgroup in every hierarchy, each once', () => {
  const put = (tree: string, name: string, text: string) => {
    mkdirSync(path.join(dir, tree, 'parent', name), { recursive: true });
    writeFileSync(path.join(dir, tree, 'parent', name, 'cgroup.procs'), text);
  };
  put('', 'a', '11\n12\n');
  put('pids', 'a', '12\n');
  put('memory', 'b', '13\n');
  expect(pidsBelowCgroup('parent', dir).sort((a, b) => a - b)).toEqual([11, 12, 13]);
  expect(pidsBelowCgroup('absent', dir)).toEqual([]);
});
