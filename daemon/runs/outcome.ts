import { exitCodes } from '#contract/errors.ts';
import type { RunOutcome } from '#contract/run.ts';
import type { RunFacts } from './state.ts';
import type { Stop } from './stop.ts';

export type Closing = { outcome: RunOutcome; exitCode: number; reason: string };

/** What a run comes to: 4 over 6 over 3 over 2, and whoever stopped it first. */
export function closingOf(run: RunFacts, stop: Stop | undefined): Closing {
  const tasks = [...run.tasks].map(([id, task]) => ({ id, ...task }));
  const failed = (state: string) =>
    tasks.filter((task) => task.state === state && !isReplaced(task));
  const [violated] = failed('violated');
  if (violated || stop?.kind === 'violated') {
    const reason = violated?.reason ?? stop?.message ?? '';
    return { outcome: 'violated', exitCode: exitCodes.violation, reason };
  }
  if (stop?.kind === 'engine_lost') {
    return { outcome: 'failed', exitCode: exitCodes.unreachable, reason: stop.message };
  }
  if (stop?.kind === 'cancelled' || stop?.kind === 'daemon_stopping') {
    return { outcome: 'cancelled', exitCode: exitCodes.denied, reason: stop.message };
  }
  const denied = failed('failed').filter(({ failure }) => failure?.class === 'denied');
  if (denied.length > 0 && stop === undefined) {
    const [only] = denied;
    const reason = (denied.length === 1 ? only?.reason : undefined) ?? names('was denied', denied);
    return { outcome: 'failed', exitCode: exitCodes.denied, reason };
  }
  const timedOut = failed('timed_out');
  if (stop?.kind === 'timed_out' || timedOut.length > 0) {
    const reason = stop?.message ?? names('timed out', timedOut);
    return { outcome: 'timed_out', exitCode: exitCodes.timeout, reason };
  }
  const broken = [...failed('failed'), ...failed('unknown'), ...failed('cancelled')];
  if (broken.length > 0) {
    const reason = names('failed', broken);
    return { outcome: 'failed', exitCode: exitCodes.taskFailed, reason };
  }
  return { outcome: 'succeeded', exitCode: exitCodes.ok, reason: '' };
}

/** What went wrong with it was seen to. Who broke a wall is never let off. */
function isReplaced({ state, superseded }: { state: string; superseded?: number }): boolean {
  return superseded !== undefined && state !== 'violated';
}

function names(verb: string, tasks: readonly { id: string }[]): string {
  const shown = tasks.slice(0, 5).map((task) => task.id);
  const more = tasks.length > shown.length ? ` and ${tasks.length - shown.length} more` : '';
  return `${shown.join(', ')}${more} ${verb}`;
}
