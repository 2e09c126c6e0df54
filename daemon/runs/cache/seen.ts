import type { Digest } from '#contract/ids.ts';
import type { PlanTask } from '#contract/plan.ts';
import type { Stack } from '../../workspace/layers.ts';
import type { Workspace } from '../../workspace/open.ts';

/**
 * What a task sees of the workspace: all of it, or the files that its inputs name and no other. So
 * what it may depend on and what its key says are the same by construction.
 */
export async function seenSnapshot(
  { snapshots }: Pick<Workspace, 'snapshots'>,
  snapshot: Digest,
  { inputs, cwd }: Pick<PlanTask, 'inputs' | 'cwd'>,
  signal?: AbortSignal,
): Promise<Pick<Stack, 'snapshot' | 'partial'>> {
  if (inputs === undefined) return { snapshot };
  return { snapshot: await snapshots.subset(snapshot, { inputs, cwd }, signal), partial: true };
}
