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
  expect(files && readUsage(files)).toEqual({
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
  expect(files && readUsage(files)).toEqual({
    memoryPeakBytes: 2048,
    cpuMs: 5,
    forksRefused: 0,
  });
});

test('kills for memory, held back time and processes are told by both versions', async () => {
  const one = machine(`9:memory:/e/${id}\n4:cpuacct:/e/${id}\n3:pids:/e/${id}\n2:cpu:/e/${id}\n`, {
    [`cgroup/memory/e/${id}/memory.max_usage_in_bytes`]: '1\n',
    [`cgroup/memory/e/${id}/memory.oom_control`]: 'oom_kill_disable 0\nunder_oom 0\noom_kill 2\n',
    [`cgroup/cpuacct/e/${id}/cpuacct.usage`]: '0\n',
    [`cgroup/cpu/e/${id}/cpu.stat`]: 'nr_periods 9\nnr_throttled 3\nthrottled_time 7000000\n',
    [`cgroup/pids/e/${id}/pids.current`]: '5\n',
    [`cgroup/pids/e/${id}/cgroup.procs`]: '999999999\n',
  });
  const old = await findUsageFiles(7, id, one);
  const told = { oomKills: 2, throttledMs: 7, pidsPeak: 5, processes: [999_999_999] };
  expect(old && readUsage(old)).toMatchObject(told);

  const two = machine(`0::/f/${id}\n`, {
    [`cgroup/f/${id}/memory.peak`]: '1\n',
    [`cgroup/f/${id}/memory.events`]: 'low 0\nmax 9\noom 1\noom_kill 2\noom_group_kill 0\n',
    [`cgroup/f/${id}/cpu.stat`]: 'usage_usec 0\nthrottled_usec 7000\n',
    [`cgroup/f/${id}/pids.current`]: '1\n',
    [`cgroup/f/${id}/pids.peak`]: '5\n',
    [`cgroup/f/${id}/cgroup.procs`]: '999999999\n',
  });
  const unified = await findUsageFiles(7, id, two);
  expect(unified && readUsage(unified)).toMatchObject(told);
});

test('a process that is not the container’s is not taken for it', async () => {
  expect(await findUsageFiles(7, id, machine('0::/init.scope\n', {}))).toBeUndefined();
  expect(await findUsageFiles(7, id, machine(`0::/../../${id}\n`, {}))).toBeUndefined();
  expect(await findUsageFiles(8, id, machine('', {}))).toBeUndefined();
});

test('a container that is gone has no usage', async () => {
  const files = await findUsageFiles(7, id, machine(`0::/e/${id}\n`, {}));
  expect(files && readUsage(files)).toBeUndefined();
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
