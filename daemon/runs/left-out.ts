import type { PlanTask } from '#contract/plan.ts';
import type { LeftOut } from '#contract/snapshot.ts';
import type { AnyEntry } from '../audit/types.ts';
import { cutText } from '../base/text.ts';
import { taskEntry, type AcceptedRun } from './open-run.ts';

const firstMax = 32;

type Left = { leftOut: readonly LeftOut[]; leftOutCount: number };

/** Says what of a task's layer was not taken, or not as it was; nothing where all of it was. */
export function layerLeftOut(
  run: AcceptedRun,
  task: PlanTask,
  { leftOut, leftOutCount, attempt }: Left & { attempt: number },
): AnyEntry[] {
  if (leftOutCount === 0) return [];
  const data = { attempt, entries: leftOutCount, first: firstOf(leftOut) };
  return [taskEntry(run, task.id, { type: 'layer.left_out', sev: 'notice', data })];
}

/** The same of a directory among its outputs. */
export function artifactLeftOut(
  run: AcceptedRun,
  task: PlanTask,
  { leftOut, leftOutCount, name }: Left & { name: string },
): AnyEntry[] {
  if (leftOutCount === 0) return [];
  const data = { name, entries: leftOutCount, first: firstOf(leftOut) };
  return [taskEntry(run, task.id, { type: 'artifact.left_out', sev: 'notice', data })];
}

function firstOf(leftOut: readonly LeftOut[]) {
  return leftOut
    .slice(0, firstMax)
    .map(({ path, reason }) => ({ path: cutText(path, 256), reason }));
}
