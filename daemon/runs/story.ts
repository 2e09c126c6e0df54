import { OrchestraError } from '#contract/errors.ts';
import type { AnyEntry } from '../audit/types.ts';
import { cutText } from '../base/text.ts';
import type { RunsDeps } from './deps.ts';
import { execute } from './execute.ts';
import type { AcceptedRun, OpenRun } from './open-run.ts';
import { closingOf, type Closing } from './outcome.ts';
import { reasonsOf } from './reasons.ts';
import { artifactsOf, finishLeftTasks } from './recover.ts';
import { stopOf } from './stop.ts';
import { failpoint } from '../base/failpoints.ts';

/** How a run comes to be: as new, from an earlier one, or left behind by a daemon that died. */
export type Beginning = {
  /** Plans, judges and records, up to the point where tasks may run. Throws what refuses the run. */
  accept(): Promise<AcceptedRun>;
  timeoutMs: number;
  /** How long the run was under way before, ms. */
  elapsedMs: number;
};

/**
 * The story of one run, up to its closing record. Never rejects: what cannot be recorded any more
 * (the log is blocked) stops the daemon elsewhere.
 */
export async function tellStory(deps: RunsDeps, run: OpenRun, beginning: Beginning): Promise<void> {
  using _quiet = deps.workspace.holdTrash();
  const startedAt = performance.now() - beginning.elapsedMs;
  const close = async ({ outcome, exitCode, reason }: Closing, last: AnyEntry[] = []) => {
    await run.people.over();
    await deps.requests.withdraw(run.id, 'the run is over');
    // In the same tick as the record, so that nothing of this run can follow it.
    run.isClosing = true;
    const closed: AnyEntry = {
      type: 'run.closed',
      run: run.id,
      outcome: outcome === 'succeeded' ? 'ok' : outcome === 'unknown' ? 'unknown' : 'failed',
      sev: outcome === 'violated' ? 'alert' : 'info',
      data: {
        outcome,
        artifacts: artifactsOf(deps, run.id),
        duration_ms: Math.round(performance.now() - startedAt),
        exit_code: exitCode,
        reason: cutText(reason, 512),
      },
    };
    failpoint('before-run-closed');
    await deps.log.appendAll([...last, closed]);
    failpoint('after-run-closed');
  };
  try {
    const accepted = await beginning.accept();
    const last = await execute(deps, accepted);
    if (isLeft(run)) return;
    await recordStop(deps, run, beginning);
    await close(closing(deps, run), last);
  } catch (error) {
    if (deps.log.blocked || isLeft(run)) return;
    try {
      await finishLeftTasks(deps, run.id, 'Orchestra could not go on with it');
      await recordStop(deps, run, beginning);
      await close(await refuse(deps, run, error));
    } catch (second) {
      deps.logger.error({ err: second, run: run.id }, 'the run could not be closed');
    }
  }
}

/** Somebody else tells the rest of it. */
function isLeft(run: OpenRun): boolean {
  return stopOf(run.controller.signal)?.kind === 'daemon_leaving';
}

function closing(deps: RunsDeps, run: OpenRun): Closing {
  const facts = deps.states.find(run.id);
  if (!facts) throw new OrchestraError('internal.bug', `${run.id} is not in the log`);
  return closingOf(facts, stopOf(run.controller.signal));
}

/** Says in the log why a run never came to its end. */
async function refuse(deps: RunsDeps, run: OpenRun, error: unknown): Promise<Closing> {
  if (stopOf(run.controller.signal)) return closing(deps, run);
  const known =
    error instanceof OrchestraError
      ? error
      : new OrchestraError('internal.bug', 'The daemon failed in a way it does not know');
  if (known.code === 'internal.bug') deps.logger.error({ err: error, run: run.id }, 'run failed');
  await deps.log.append({
    type: 'run.refused',
    run: run.id,
    outcome: 'denied',
    sev: known.facts.exit === 4 ? 'alert' : 'notice',
    data: { code: known.code, reasons: reasonsOf(known) },
  });
  return {
    outcome: known.facts.exit === 4 ? 'violated' : 'refused',
    exitCode: known.facts.exit,
    reason: `${known.code}: ${known.message}`,
  };
}

async function recordStop(deps: RunsDeps, run: OpenRun, { timeoutMs }: Beginning): Promise<void> {
  const stop = stopOf(run.controller.signal);
  if (stop?.kind === 'timed_out') {
    await deps.log.append({
      type: 'run.timed_out',
      run: run.id,
      outcome: 'failed',
      data: { timeout_ms: timeoutMs },
    });
  } else if (stop?.kind === 'cancelled' || stop?.kind === 'daemon_stopping') {
    await deps.log.append({
      type: 'run.cancelled',
      run: run.id,
      data: { reason: cutText(stop.message, 256) },
    });
  }
}
