import type { PlanTask } from '#contract/plan.ts';
import type { OutputMask } from '../secrets/output-mask.ts';
import type { SecretFile } from '../secrets/run-secrets.ts';
import type { RunsDeps } from './deps.ts';
import { taskEntry, type AcceptedRun } from './open-run.ts';

/** The values for one task whose permit names them; on record, by name, before they are given. */
export async function grantSecrets(
  deps: Pick<RunsDeps, 'log'>,
  run: AcceptedRun,
  task: PlanTask,
  attempt: number,
): Promise<SecretFile[]> {
  if (task.secrets.length === 0) return [];
  const names = [...task.secrets];
  await deps.log.append(
    taskEntry(run, task.id, { type: 'secret.granted', sev: 'notice', data: { attempt, names } }),
  );
  return run.secrets.filesFor(names);
}

/** That a task showed a secret, so that its owner can ask why. */
export async function recordMasked(
  deps: Pick<RunsDeps, 'log'>,
  run: AcceptedRun,
  task: PlanTask,
  { attempt, mask }: { attempt: number; mask: OutputMask },
): Promise<void> {
  const { times } = mask;
  if (times === 0) return;
  await deps.log.append(
    taskEntry(run, task.id, { type: 'secret.masked', sev: 'warn', data: { attempt, times } }),
  );
}
