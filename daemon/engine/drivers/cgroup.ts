import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Usage } from '../engine.ts';

export type UsageFiles = {
  version: 1 | 2;
  memory: string;
  cpu: string;
  pids: string;
};

/** The files are a parameter for the tests; on a Linux machine they are where they always are. */
export type CgroupPlaces = { proc: string; cgroup: string };
const cgroupPlaces: CgroupPlaces = { proc: '/proc', cgroup: '/sys/fs/cgroup' };

/**
 * Where the kernel accounts for a container, found by its first process. Undefined where that
 * number means nothing here (engine on another machine, or in another pid namespace).
 */
export async function findUsageFiles(
  pid: number,
  id: string,
  places: CgroupPlaces = cgroupPlaces,
): Promise<UsageFiles | undefined> {
  const text = await readFile(path.join(places.proc, String(pid), 'cgroup'), 'latin1').catch(
    () => '',
  );
  const found = new Map<string, string>();
  for (const line of text.split('\n')) {
    const [, controllers = '', group = ''] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    // A path that does not name the container belongs to another process of that number.
    if (!group.includes(id) || group.includes('..')) continue;
    for (const one of controllers.split(',')) {
      found.set(one, path.join(places.cgroup, controllers, group));
    }
  }
  return files(found);
}

function files(groups: ReadonlyMap<string, string>): UsageFiles | undefined {
  const [memory, cpu, pids] = [groups.get('memory'), groups.get('cpuacct'), groups.get('pids')];
  if (memory !== undefined && cpu !== undefined) {
    return {
      version: 1,
      memory: path.join(memory, 'memory.max_usage_in_bytes'),
      cpu: path.join(cpu, 'cpuacct.usage'),
      pids: path.join(pids ?? memory, 'pids.events'),
    };
  }
  const unified = groups.get('');
  if (unified === undefined) return undefined;
  return {
    version: 2,
    memory: path.join(unified, 'memory.peak'),
    cpu: path.join(unified, 'cpu.stat'),
    pids: path.join(unified, 'pids.events'),
  };
}

/** The peaks so far; undefined when the container is gone or the kernel does not say. */
export async function readUsage({
  version,
  memory,
  cpu,
  pids,
}: UsageFiles): Promise<Usage | undefined> {
  const [peak, time, events] = await Promise.all([
    readFile(memory, 'latin1').catch(() => undefined),
    readFile(cpu, 'latin1').catch(() => undefined),
    readFile(pids, 'latin1').catch(() => ''),
  ]);
  if (peak === undefined || time === undefined) return undefined;
  return {
    memoryPeakBytes: number(peak),
    cpuMs:
      version === 1
        ? Math.round(number(time) / 1_000_000)
        : Math.round(number(/^usage_usec (\d+)$/m.exec(time)?.[1] ?? '0') / 1000),
    forksRefused: number(/^max (\d+)$/m.exec(events)?.[1] ?? '0'),
  };
}

function number(text: string): number {
  const value = Number(text.trim());
  return Number.isSafeInteger(value) && value >= 0 ? value : 0;
}
