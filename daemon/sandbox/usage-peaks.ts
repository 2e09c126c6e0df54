import type { Usage } from '../engine/engine.ts';
import { runtimeFacts } from '../engine/runtime-facts.ts';

/** The higher of two readings in everything that has a height; who runs is as of the later one. */
export function higher(before: Usage, now: Usage): Usage {
  const all: Usage = { ...before };
  for (const name of heights) {
    const value = Math.max(before[name] ?? 0, now[name] ?? 0);
    if (before[name] !== undefined || now[name] !== undefined) all[name] = value;
  }
  if (now.processes !== undefined) all.processes = now.processes;
  return all;
}

const heights = [
  'memoryPeakBytes',
  'cpuMs',
  'forksRefused',
  'oomKills',
  'pidsPeak',
  'throttledMs',
  'openFiles',
  'tmpBytes',
  'tmpFullBytes',
] as const satisfies readonly (keyof Usage)[];

/** Without what is the runtime's own: where it brings a kernel, the open files are that kernel's. */
export function ofTheTask(usage: Usage, runtime: string): Usage {
  if (runtimeFacts(runtime).kernel === 'the host’s') return usage;
  const { openFiles: _, ...rest } = usage;
  return rest;
}
