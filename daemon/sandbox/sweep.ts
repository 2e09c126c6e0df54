import { RunId, TaskId } from '#contract/ids.ts';
import type { Log } from '../audit/types.ts';
import type { Clock } from '../base/clock.ts';
import type { ActContext, ContainerState, Engine } from '../engine/engine.ts';
import { labelNames } from '../engine/labels.ts';

export type SweepParts = {
  engine: Engine;
  log: Pick<Log, 'append' | 'runState'>;
  clock: Pick<Clock, 'now'>;
  install: string;
  /** Names of the sandboxes that are in use. Nothing is in use when a daemon starts or stops. */
  inUse?: ReadonlySet<string>;
  /**
   * A container younger than this is left alone: an engine may make one and lose the answer on the
   * way back, and its owner is about to learn of it. Zero when a daemon starts or stops.
   */
  graceMs?: number;
};

export type Swept = { removed: number; left: number; failed: number };

/**
 * Removes the containers of this installation that nobody uses. Never touches a container without
 * this installation's label. One that cannot be removed is counted and does not stop the others.
 */
export async function sweepStrays(parts: SweepParts): Promise<Swept> {
  const found = await parts.engine.list({ [labelNames.install]: parts.install });
  const swept: Swept = { removed: 0, left: 0, failed: 0 };
  for (const container of found) {
    const isOurs = container.labels[labelNames.install] === parts.install;
    const isYoung = parts.clock.now() - Date.parse(container.createdAt) < (parts.graceMs ?? 0);
    if (!isOurs || parts.inUse?.has(container.name) === true || isYoung) {
      swept.left += 1;
      continue;
    }
    swept[await removeStray(parts, container)] += 1;
  }
  return swept;
}

async function removeStray(
  { engine, log }: SweepParts,
  container: ContainerState,
): Promise<'removed' | 'failed'> {
  const context = contextOf(container, log);
  await log.append({
    type: 'container.reconciled',
    data: {
      ...(context.attempt === undefined ? {} : { attempt: context.attempt }),
      found: container.status,
      action: 'remove',
    },
    sev: 'notice',
    run: context.run,
    obj: {
      container: container.id,
      ...(context.task === undefined ? {} : { task: context.task }),
    },
  });
  try {
    // Not every engine can end what stands still.
    if (container.status === 'paused') await engine.thaw(container.id, context);
    await engine.remove(container.id, context);
    return 'removed';
  } catch {
    return 'failed';
  }
}

// Labels come from the engine, where others can write them too: only what is well-formed is used,
// and nothing is added to a run that is closed or was never here.
function contextOf({ labels }: ContainerState, log: SweepParts['log']): ActContext {
  const run = RunId.safeParse(labels[labelNames.run]).data;
  const task = TaskId.safeParse(labels[labelNames.task]).data;
  const attempt = Number(labels[labelNames.attempt]);
  const isOpen = run !== undefined && log.runState(run)?.closed === false;
  return {
    why: 'stray',
    ...(isOpen ? { run } : {}),
    ...(task === undefined ? {} : { task }),
    ...(Number.isSafeInteger(attempt) && attempt >= 0 ? { attempt } : {}),
  };
}
