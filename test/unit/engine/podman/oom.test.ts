import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openOomWatch, type OomWatch } from '#daemon/engine/drivers/podman/oom.ts';
import { tempDir } from '#test/support/temp-dir.ts';

const id = 'c'.repeat(64);
const pid = 4711;
let dir: Awaited<ReturnType<typeof tempDir>>;
let group: string;
let watch: OomWatch;

beforeEach(async () => {
  dir = await tempDir();
  const at = (...parts: string[]) => path.join(dir.path, ...parts);
  const lines = ['memory', 'cpuacct', 'pids'].map((name, n) => `${n}:${name}:/libpod-${id}`);
  mkdirSync(at('proc', String(pid)), { recursive: true });
  writeFileSync(at('proc', String(pid), 'cgroup'), lines.join('\n'));
  group = at('cgroup', 'memory', `libpod-${id}`);
  mkdirSync(group, { recursive: true });
  counted(0);
  watch = openOomWatch({ proc: at('proc'), cgroup: at('cgroup') });
  await watch.prepare(id, pid);
});
afterEach(async () => {
  watch.forget(id);
  await dir[Symbol.asyncDispose]();
});

function counted(kills: number): void {
  const text = `oom_kill_disable 0\nunder_oom 0\noom_kill ${kills}\n`;
  writeFileSync(path.join(group, 'memory.oom_control'), text);
}

test('a container that nothing was killed in says so, however often it is asked', async () => {
  watch.start(id);
  expect(await watch.ended(id)).toBe(false);
  expect(await watch.ended(id)).toBe(false);
});

test('a kill that is counted at the very end is still seen', async () => {
  watch.start(id);
  counted(1);
  expect(await watch.ended(id)).toBe(true);
  expect(await watch.ended(id)).toBe(true);
});

test('a counter that vanished ends the watch', async () => {
  rmSync(group, { recursive: true });
  watch.start(id);
  expect(await watch.ended(id)).toBe(false);
});

test('a container that was never started or is not known has not been killed', async () => {
  counted(1);
  expect(await watch.ended(id)).toBe(false);
  watch.forget(id);
  expect(await watch.ended(id)).toBe(false);
});
