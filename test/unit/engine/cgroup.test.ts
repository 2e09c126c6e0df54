import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { findUsageFiles, readUsage } from '#daemon/engine/drivers/cgroup.ts';
import { readHostLimits } from '#daemon/engine/host-limits.ts';

const id = 'c'.repeat(64);
const dir = mkdtempSync(path.join(tmpdir(), 'orchestra-cgroup-'));
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function machine(cgroupOfPid: string, files: Record<string, string>) {
  const all = { 'proc/7/cgroup': cgroupOfPid, ...files };
  for (const [file, text] of Object.entries(all)) {
    const full = path.join(dir, file);
    mkdirSync(path.dirname(full), { recursive: true });
    writeFileSync(full, text);
  }
  return { proc: path.join(dir, 'proc'), cgroup: path.join(dir, 'cgroup') };
}

test('the peaks are read from version 1, controllers together or apart', async () => {
  const places = machine(`9:memory:/e/${id}\n4:cpu,cpuacct:/e/${id}\n3:pids:/e/${id}\n`, {
    [`cgroup/memory/e/${id}/memory.max_usage_in_bytes`]: '1048576\n',
    [`cgroup/cpu,cpuacct/e/${id}/cpuacct.usage`]: '123456789\n',
    [`cgroup/pids/e/${id}/pids.events`]: 'max 4\n',
  });
  const files = await findUsageFiles(7, id, places);
  expect(files && (await readUsage(files))).toEqual({
    memoryPeakBytes: 1_048_576,
    cpuMs: 123,
    forksRefused: 4,
  });
});

test('the peaks are read from version 2', async () => {
  const places = machine(`0::/e/docker-${id}.scope\n`, {
    [`cgroup/e/docker-${id}.scope/memory.peak`]: '2048\n',
    [`cgroup/e/docker-${id}.scope/cpu.stat`]: 'usage_usec 5000\nuser_usec 1\n',
    [`cgroup/e/docker-${id}.scope/pids.events`]: 'max 0\n',
  });
  const files = await findUsageFiles(7, id, places);
  expect(files && (await readUsage(files))).toEqual({
    memoryPeakBytes: 2048,
    cpuMs: 5,
    forksRefused: 0,
  });
});

test('a process that is not the container’s is not taken for it', async () => {
  expect(await findUsageFiles(7, id, machine('0::/init.scope\n', {}))).toBeUndefined();
  expect(await findUsageFiles(7, id, machine(`0::/../../${id}\n`, {}))).toBeUndefined();
  expect(await findUsageFiles(8, id, machine('', {}))).toBeUndefined();
});

test('a container that is gone has no usage', async () => {
  const files = await findUsageFiles(7, id, machine(`0::/e/${id}\n`, {}));
  expect(files && (await readUsage(files))).toBeUndefined();
});

test('the hard limits of the host are read, and an unlimited one has a ceiling', () => {
  const text = [
    'Limit                     Soft Limit           Hard Limit           Units     ',
    'Max processes             96365                unlimited            processes ',
    'Max open files            1024                 20000                files     ',
  ].join('\n');
  expect(readHostLimits(text, '4194304\n')).toEqual({
    openFilesMax: 20_000,
    processesMax: 1_048_576,
  });
});
