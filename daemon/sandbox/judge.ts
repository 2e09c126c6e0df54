import { constants } from 'node:os';
import type { Limits } from '#contract/limits.ts';
import type { ContainerExit, Usage } from '../engine/engine.ts';
import type { Cause } from './ending.ts';
import type { SandboxResult } from './sandbox.ts';

export type Judged = Pick<SandboxResult, 'outcome' | 'exitCode' | 'signal' | 'limit'>;

/** What ended a task, from what was done to it and what the engine and the kernel say. Pure. */
export function judgeExit(facts: {
  exit: ContainerExit;
  cause: Cause | undefined;
  usage: Usage;
  limits: Limits;
}): Judged {
  const { exitCode } = facts.exit;
  const signal = signalOf(exitCode);
  const common = { exitCode, ...(signal === undefined ? {} : { signal }) };
  switch (facts.cause) {
    case 'timeout':
      return { ...common, outcome: 'timed_out', limit: 'timeout' };
    case 'output':
      return { ...common, outcome: 'limit', limit: 'output' };
    case 'cancelled':
      return { ...common, outcome: 'cancelled' };
    case 'failed':
    case undefined: {
      const limit = limitHit(facts);
      return limit === undefined
        ? { ...common, outcome: 'exited' }
        : { ...common, outcome: 'limit', limit };
    }
  }
}

const killed = 128 + constants.signals.SIGKILL;
const fileTooLarge = 128 + constants.signals.SIGXFSZ;

/** A task that succeeds has hit no limit, whatever was refused to it on the way. */
function limitHit({
  exit,
  usage,
  limits,
}: {
  exit: ContainerExit;
  usage: Usage;
  limits: Limits;
}): SandboxResult['limit'] | undefined {
  if (exit.exitCode === 0) return undefined;
  // The engine's word alone is not enough: it is also true when only a child was killed, and some
  // engines never say it.
  const isFull = exit.oomKilled || usage.memoryPeakBytes >= limits.memoryBytes * 0.99;
  if (exit.exitCode === killed && isFull) return 'memory';
  if (exit.exitCode === fileTooLarge) return 'file_size';
  return usage.forksRefused > 0 ? 'pids' : undefined;
}

function signalOf(exitCode: number): string | undefined {
  return Object.entries(constants.signals).find(([, number]) => exitCode === 128 + number)?.[0];
}
