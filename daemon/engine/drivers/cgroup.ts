import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Usage } from '../engine.ts';
import { openFilesOf } from './processes.ts';

/** The container's folders: one of all controllers in version 2, one each in version 1. */
export type UsageFiles = {
  version: 1 | 2;
  memory: string;
  cpu: string;
  pids: string;
  /** Where the share of the processors is kept to; in version 1 that may be another controller. */
  share: string;
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
  return foldersOf(found);
}

function foldersOf(groups: ReadonlyMap<string, string>): UsageFiles | undefined {
  const [memory, cpu] = [groups.get('memory'), groups.get('cpuacct')];
  if (memory !== undefined && cpu !== undefined) {
    const pids = groups.get('pids') ?? memory;
    return { version: 1, memory, cpu, pids, share: groups.get('cpu') ?? cpu };
  }
  const all = groups.get('');
  if (all === undefined) return undefined;
  return { version: 2, memory: all, cpu: all, pids: all, share: all };
}

const fileNames = {
  1: {
    peak: 'memory.max_usage_in_bytes',
    time: 'cpuacct.usage',
    kills: 'memory.oom_control',
  },
  2: { peak: 'memory.peak', time: 'cpu.stat', kills: 'memory.events' },
} as const;

/**
 * The peaks so far; undefined when the container is gone or the kernel does not say. These are
 * reads of memory, some microseconds each: asked for in turn and at once, because at the end of a
 * container there is only a moment to look.
 */
export function readUsage(files: UsageFiles): Usage | undefined {
  const { version, memory, cpu, pids, share } = files;
  const names = fileNames[version];
  const refused = read(pids, 'pids.events');
  const kills = read(memory, names.kills);
  const peak = read(memory, names.peak);
  const time = read(cpu, names.time);
  if (peak === undefined || time === undefined) return undefined;
  const tasksPeak = read(pids, 'pids.peak') ?? read(pids, 'pids.current');
  const numbers = read(pids, 'cgroup.procs')
    ?.split('\n')
    .filter(Boolean)
    .slice(0, processesMax)
    .map(Number);
  return {
    memoryPeakBytes: number(peak),
    cpuMs:
      version === 1
        ? Math.round(number(time) / 1_000_000)
        : Math.round((named(time, 'usage_usec') ?? 0) / 1000),
    forksRefused: named(refused, 'max') ?? 0,
    ...only({
      oomKills: named(kills, 'oom_kill'),
      pidsPeak: optional(tasksPeak),
      throttledMs: throttledMs(read(share, 'cpu.stat')),
      openFiles: numbers && openFilesOf(numbers),
      processes: numbers,
    }),
  };
}

const processesMax = 512;

function read(folder: string, name: string): string | undefined {
  try {
    return readFileSync(path.join(folder, name), 'latin1');
  } catch {
    return undefined;
  }
}

function throttledMs(stat: string | undefined): number | undefined {
  const ns = named(stat, 'throttled_time');
  const us = ns === undefined ? named(stat, 'throttled_usec') : ns / 1000;
  return us === undefined ? undefined : Math.round(us / 1000);
}

function named(text: string | undefined, name: string): number | undefined {
  return optional(new RegExp(`^${name} (\\d+)$`, 'm').exec(text ?? '')?.[1]);
}

function optional(text: string | undefined): number | undefined {
  return text === undefined ? undefined : number(text);
}

function number(text: string): number {
  const value = Number(text.trim());
  return Number.isSafeInteger(value) && value >= 0 ? value : 0;
}

type Known<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

function only<T extends object>(all: T): Known<T> {
  return Object.fromEntries(
    Object.entries(all).filter(([, value]) => value !== undefined),
  ) as Known<T>;
}
