import { OrchestraError } from '#contract/errors.ts';
import type { EngineFacts } from './engine.ts';

/**
 * Refuses an engine that takes limits and does not keep them, such as a rootless one with cgroup v1:
 * a task without a bound on memory, processes or processor time takes the machine with it.
 */
export function assertLimitsKept(facts: EngineFacts): EngineFacts {
  const { memory, pids, cpu } = facts.limits;
  const missing = Object.entries({ memory, pids, cpu }).filter(([, isKept]) => !isKept);
  if (missing.length === 0) return facts;
  const names = missing.map(([name]) => name).join(', ');
  throw new OrchestraError('engine.unavailable', `The engine keeps no limits on ${names}`, {
    hint: 'use an engine of root, or cgroup v2 with these controllers delegated to its user',
  });
}
