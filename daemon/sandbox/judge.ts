import { constants } from 'node:os';
import { endingLimits, type Limits } from '#contract/limits.ts';
import type { LimitName } from '#contract/run.ts';
import type { ContainerExit, Usage } from '../engine/engine.ts';
import { overOf } from '../workspace/disk-watch.ts';
import type { DiskUse } from '../workspace/measure.ts';
import type { Cause } from './ending.ts';
import type { SandboxResult } from './sandbox.ts';

/** A limit that ended an attempt: what it was, and the most that was seen. */
export type Exceeded = { limit: LimitName; allowed: number; peak?: number };

export type Judged = Pick<SandboxResult, 'outcome' | 'exitCode' | 'signal' | 'limit' | 'exceeded'>;

export type EndFacts = {
  exit: ContainerExit;
  cause: Cause | undefined;
  usage: Usage;
  limits: Limits;
  /** What the task left in its layers, where that was measured. */
  disk?: DiskUse | undefined;
  durationMs?: number;
  silentMs?: number;
  outputBytes?: number;
};

/**
 * What ended a task, from what was done to it and what the engine and the kernel say. Pure.
 *
 * What the kernel counts decides, not how the task coped with it or when somebody looked: whoever
 * had a process killed for memory, was refused one, or left too much on the disk has not succeeded.
 * A full memory file system, a refused file and a file cut at its size are told to the task alone;
 * they are the reason only when it failed.
 */
export function judgeExit(facts: EndFacts): Judged {
  const { exitCode } = facts.exit;
  const signal = signalOf(exitCode);
  const common = { exitCode, ...(signal === undefined ? {} : { signal }) };
  const hit = (limit: LimitName) => ({ ...common, limit, exceeded: exceeded(limit, facts) });
  switch (facts.cause) {
    case 'timeout':
    case 'idle':
      return { ...hit(facts.cause), outcome: 'timed_out' };
    case 'cancelled':
      return { ...common, outcome: 'cancelled' };
    case 'failed':
    case 'disk_low':
    case undefined: {
      const limit = limitHit(facts);
      return limit === undefined
        ? { ...common, outcome: 'exited' }
        : { ...hit(limit), outcome: 'limit' };
    }
    default:
      return { ...hit(facts.cause), outcome: 'limit' };
  }
}

const killed = 128 + constants.signals.SIGKILL;
const fileTooLarge = 128 + constants.signals.SIGXFSZ;

function limitHit({ exit, usage, limits, disk }: EndFacts): LimitName | undefined {
  // Some engines never say that a kill was for memory.
  const isFull = exit.exitCode === killed && usage.memoryPeakBytes >= limits.memoryBytes * 0.99;
  if (exit.oomKilled || (usage.oomKills ?? 0) > 0 || isFull) return 'memory';
  const over = disk && overOf(disk, { bytes: limits.diskBytes, files: limits.diskFiles });
  if (over !== undefined) return over;
  if (usage.forksRefused > 0) return 'pids';
  if (exit.exitCode === 0) return undefined;
  if (exit.exitCode === fileTooLarge) return 'file_size';
  if (usage.tmpFullBytes !== undefined) return 'tmp';
  return (usage.openFiles ?? 0) >= limits.openFiles ? 'open_files' : undefined;
}

function exceeded(limit: LimitName, facts: EndFacts): Exceeded {
  // A memory file system can be smaller than the limit: the home directory is.
  const full = limit === 'tmp' ? facts.usage.tmpFullBytes : undefined;
  const allowed = full ?? facts.limits[endingLimits[limit]];
  const peak = peakOf(limit, facts, allowed);
  return { limit, allowed, ...(peak === undefined ? {} : { peak }) };
}

function peakOf(limit: LimitName, facts: EndFacts, allowed: number): number | undefined {
  const { usage, disk } = facts;
  switch (limit) {
    case 'timeout':
      // The engine's times begin a little later than ours.
      return Math.max(facts.durationMs ?? 0, allowed);
    case 'idle':
      return facts.silentMs;
    case 'output':
      return facts.outputBytes;
    case 'memory':
      return usage.memoryPeakBytes === 0 ? undefined : usage.memoryPeakBytes;
    case 'pids':
      return usage.pidsPeak;
    case 'open_files':
      return usage.openFiles;
    case 'file_size':
    case 'tmp':
      // The kernel lets nobody past it.
      return allowed;
    case 'disk':
      return disk?.bytes;
    case 'disk_files':
      return disk?.files;
  }
}

function signalOf(exitCode: number): string | undefined {
  return Object.entries(constants.signals).find(([, number]) => exitCode === 128 + number)?.[0];
}
