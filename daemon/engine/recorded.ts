import type { Limits } from '#contract/limits.ts';
import type { RecordData } from '#contract/records.ts';
import { digestOf } from '../base/canonical.ts';
import type { Permit } from '../policy/permit.ts';
import type { ActContext } from './engine.ts';
import type { Known } from './known.ts';

/** What is told of a task that is let go: nothing of its words. */
export function releaseData(
  { spec: waited }: Known,
  { spec: task, digest }: Permit,
  context: ActContext,
): RecordData<'container.release'> {
  return {
    ...place(context),
    spec: digest,
    slot: waited.role === 'slot',
    command: digestOf(task.command),
    env_names: Object.keys(task.env).toSorted(),
  };
}

export function place(context: ActContext): { attempt?: number } {
  return context.attempt === undefined ? {} : { attempt: context.attempt };
}

export function why(context: ActContext): string {
  return (context.why ?? 'unknown').slice(0, 64);
}

/** Whom a record of a container is about. */
export function named(container: string, context: ActContext): Record<string, string> {
  return { container, ...(context.task === undefined ? {} : { task: context.task }) };
}

/** Limits in the words of the log. */
export function recordedLimits(limits: Limits) {
  return {
    cpu_milli: limits.cpuMilli,
    memory_bytes: limits.memoryBytes,
    pids: limits.pids,
    open_files: limits.openFiles,
    file_size_bytes: limits.fileSizeBytes,
    disk_bytes: limits.diskBytes,
    disk_files: limits.diskFiles,
    tmp_bytes: limits.tmpBytes,
    output_bytes: limits.outputBytes,
    timeout_ms: limits.timeoutMs,
    idle_ms: limits.idleMs,
  } satisfies RecordData<'container.create'>['limits'];
}
