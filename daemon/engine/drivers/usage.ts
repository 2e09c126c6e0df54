import type Docker from 'dockerode';
import type { Usage } from '../engine.ts';
import { findUsageFiles, readUsage, type UsageFiles } from './cgroup.ts';
import { statusOf } from './errors.ts';
import { TmpMounts } from './tmp.ts';

export type UsageReader = {
  read(id: string): Promise<Usage | undefined>;
  /** The processes of a container, where that is known without a question to the engine. */
  processes(id: string): readonly number[];
  /** Lets go of what was held open of a container that is removed. */
  forget(id: string): void;
};

const rememberedMax = 4096;
const nothingSaid: Usage = { memoryPeakBytes: 0, cpuMs: 0, forksRefused: 0 };

/**
 * Peaks of a running container: from the kernel's own accounting where it can be read on this
 * machine (a fraction of a millisecond), else from the engine's statistics (some milliseconds).
 */
export function openUsage(docker: Docker): UsageReader {
  const known = new Map<string, UsageFiles | 'unreadable' | 'over'>();
  // All containers of an engine lie beside each other, so the place of the next one follows from
  // the place of one before, without a question to the engine.
  let pattern: UsageFiles | undefined;
  const tmp = new Map<string, TmpMounts>();

  function forget(id: string): void {
    known.delete(id);
    const mounts = tmp.get(id);
    tmp.delete(id);
    void mounts?.close();
  }

  /** Adds what only its memory file systems tell, which outlive its last process. */
  async function withTmp(id: string, usage: Usage | undefined): Promise<Usage | undefined> {
    const pid = usage?.processes?.[0];
    let mounts = tmp.get(id);
    if (mounts === undefined && pid !== undefined && tmp.size < rememberedMax) {
      mounts = await TmpMounts.open(pid);
      const isLate = !known.has(id) || tmp.has(id);
      if (isLate) await mounts?.close();
      else if (mounts !== undefined) tmp.set(id, mounts);
      mounts = tmp.get(id);
    }
    if (mounts === undefined) return usage;
    const { usedBytes, fullBytes } = await mounts.read();
    const full = fullBytes === undefined ? {} : { tmpFullBytes: fullBytes };
    return { ...(usage ?? nothingSaid), tmpBytes: usedBytes, ...full };
  }

  async function locate(id: string): Promise<UsageFiles | 'unreadable' | 'over'> {
    const guess = pattern && filesOf(pattern, (file) => file.replace('{id}', id));
    if (guess && readUsage(guess) !== undefined) return guess;
    const { State: state } = await docker.getContainer(id).inspect();
    if (state.Pid <= 0) return 'over';
    const files = await findUsageFiles(state.Pid, id);
    if (files === undefined) return 'unreadable';
    pattern = filesOf(files, (file) => file.replace(id, '{id}'));
    return files;
  }

  return {
    processes(id) {
      const guess = pattern && filesOf(pattern, (file) => file.replace('{id}', id));
      return (guess && readUsage(guess)?.processes) ?? [];
    },

    async read(id) {
      try {
        const files = known.get(id) ?? (await locate(id));
        if (known.size >= rememberedMax) known.clear();
        known.set(id, files);
        if (files === 'over') return undefined;
        if (files === 'unreadable') return await askEngine(docker, id);
        return await withTmp(id, readUsage(files));
      } catch (error) {
        if (statusOf(error) === 404 || statusOf(error) === 409) return undefined;
        throw error;
      }
    },
    forget,
  };
}

function filesOf(files: UsageFiles, change: (file: string) => string): UsageFiles {
  return {
    version: files.version,
    memory: change(files.memory),
    cpu: change(files.cpu),
    pids: change(files.pids),
    share: change(files.share),
  };
}

async function askEngine(docker: Docker, id: string): Promise<Usage | undefined> {
  const stats = await docker.getContainer(id).stats({ stream: false, 'one-shot': true });
  const memory = stats.memory_stats as { max_usage?: number; usage?: number };
  const peak = memory.max_usage ?? memory.usage;
  if (peak === undefined) return undefined;
  return {
    memoryPeakBytes: peak,
    cpuMs: Math.round(stats.cpu_stats.cpu_usage.total_usage / 1_000_000),
    forksRefused: 0,
  };
}
