import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { findUsageFiles, type CgroupPlaces } from '../cgroup.ts';

const lookMs = 20;
const watchedMax = 4096;

export type OomWatch = {
  /** Before the start; `pid` is the container's first process. */
  prepare(id: string, pid: number): Promise<void>;
  start(id: string): void;
  /** Whether the kernel killed for memory, once the container is over. May be asked again. */
  ended(id: string): Promise<boolean>;
  forget(id: string): void;
};

type Watched = { file: string; over: AbortController; seen?: Promise<boolean> };

/**
 * Looks at the kernel's own counter while a container runs: with cgroup v1 Podman (4.3.1) says no
 * after a real kill, and takes the counter away with the container. To do so it starts a program,
 * which takes longer than the time between two looks.
 */
export function openOomWatch(places?: CgroupPlaces): OomWatch {
  const watched = new Map<string, Watched>();
  return {
    async prepare(id, pid) {
      const files = await findUsageFiles(pid, id, places);
      if (files === undefined) return;
      const name = files.version === 1 ? 'memory.oom_control' : 'memory.events';
      const file = path.join(files.memory, name);
      // A daemon that never removes what it made would otherwise remember it for ever.
      const [oldest] = watched.size >= watchedMax ? watched.keys() : [];
      if (oldest !== undefined) watched.delete(oldest);
      watched.set(id, { file, over: new AbortController() });
    },
    start(id) {
      const one = watched.get(id);
      if (one !== undefined) one.seen = watch(one.file, one.over.signal);
    },
    async ended(id) {
      const one = watched.get(id);
      one?.over.abort();
      return (await one?.seen) ?? false;
    },
    forget(id) {
      watched.get(id)?.over.abort();
      watched.delete(id);
    },
  };
}

async function watch(file: string, over: AbortSignal): Promise<boolean> {
  for (;;) {
    const isLast = over.aborted;
    const text = await readFile(file, 'latin1').catch(() => undefined);
    if (text === undefined) return false;
    if (Number(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? '0') > 0) return true;
    if (isLast) return false;
    await pause(lookMs, undefined, { signal: over, ref: false }).catch(() => {});
  }
}
