import type { Limits } from '#contract/limits.ts';
import type { AnyEntry, Log } from '../audit/types.ts';
import type { ContainerExit } from '../engine/engine.ts';
import type { Cause } from './ending.ts';
import type { Judged } from './judge.ts';
import type { Flowed } from './output.ts';
import type { SandboxRequest } from './sandbox.ts';
import { violationOf } from './violation.ts';
import { failpoint } from '../base/failpoints.ts';

/** Puts the end of a task on record, durable before anybody is told of it. */
export async function recordExit(
  log: Pick<Log, 'appendAll'>,
  facts: {
    id: string;
    context: SandboxRequest['context'];
    exit: ContainerExit;
    judged: Judged;
    cause: Cause | undefined;
    flowed: Flowed;
    durationMs: number;
    limits: Limits;
  },
): Promise<void> {
  const { id, context, exit, judged, flowed, limits } = facts;
  const { attempt } = context;
  const common = { run: context.run, obj: { container: id, task: context.task } };
  const entries: AnyEntry[] = [
    {
      ...common,
      type: 'container.exited',
      outcome: judged.outcome === 'exited' && judged.exitCode === 0 ? 'ok' : 'failed',
      data: {
        attempt,
        by: exit.by,
        exit_code: exit.exitCode,
        oom_killed: exit.oomKilled,
        started_at: exit.startedAt.slice(0, 40),
        finished_at: exit.finishedAt.slice(0, 40),
        duration_ms: facts.durationMs,
        stdout_bytes: flowed.stdoutBytes,
        stderr_bytes: flowed.stderrBytes,
        ...(flowed.truncated ? { output_dropped_bytes: flowed.droppedBytes } : {}),
      },
    },
  ];
  if (exit.oomKilled || judged.limit === 'memory') {
    const data = { attempt, memory_bytes: limits.memoryBytes };
    entries.push({ ...common, type: 'container.oom_killed', sev: 'notice', data });
  }
  const why = endedBy(facts);
  if (why !== undefined) {
    entries.push({ ...common, type: 'container.killed', sev: 'notice', data: { attempt, why } });
  }
  const violation = violationOf(judged);
  if (violation !== undefined) {
    entries.push({
      ...common,
      type: 'sandbox.violation',
      outcome: 'denied',
      sev: 'alert',
      data: { attempt, ...violation },
    });
  }
  if (judged.exceeded !== undefined) {
    entries.push({
      ...common,
      type: 'limit.exceeded',
      outcome: 'denied',
      sev: 'notice',
      data: { attempt, ...judged.exceeded },
    });
  }
  failpoint('before-container-exited');
  await log.appendAll(entries);
  failpoint('after-container-exited');
}

/** Why Orchestra ended it; undefined when it ended by itself or the kernel did it. */
function endedBy({
  cause,
  flowed,
}: {
  cause: Cause | undefined;
  flowed: Flowed;
}): string | undefined {
  return cause ?? (flowed.failure === undefined ? undefined : 'failed');
}
