import { OrchestraError } from '#contract/errors.ts';
import type { PlanTask } from '#contract/plan.ts';
import type { SubmitRun } from '#contract/run.ts';
import type { AnyEntry } from '../audit/types.ts';
import { cutText } from '../base/text.ts';
import { dispatch } from '../scheduler/dispatch.ts';
import { topological } from '../scheduler/graph.ts';
import {
  concurrencyFor,
  planFor,
  plannerName,
  policyFor,
  recordPlan,
  type Accepted,
} from './accept.ts';
import { Checkpoints } from './checkpoints.ts';
import type { RunsDeps } from './deps.ts';
import { taskEntry, type AcceptedRun, type OpenRun } from './open-run.ts';
import { closingOf, type Closing } from './outcome.ts';
import { planNeeds, provide, type ProvideRequest } from './provide.ts';
import { artifactsOf, finishLeftTasks } from './recover.ts';
import { expectTasks } from './slot.ts';
import { stopOf } from './stop.ts';
import { runTask } from './task.ts';

/**
 * The story of one run, from its submission to its closing record. Never rejects: what cannot be
 * recorded any more (the log is blocked) stops the daemon elsewhere.
 */
export async function tellStory(deps: RunsDeps, run: OpenRun, request: SubmitRun): Promise<void> {
  using _quiet = deps.workspace.holdTrash();
  const startedAt = performance.now();
  const close = async ({ outcome, exitCode, reason }: Closing, last: AnyEntry[] = []) => {
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
    await deps.log.appendAll([...last, closed]);
  };
  try {
    const accepted = await accept(deps, run, request);
    const last = await execute(deps, accepted.run, accepted.concurrency);
    await recordStop(deps, run, request);
    await close(closing(deps, run), last);
  } catch (error) {
    if (deps.log.blocked) return;
    try {
      await finishLeftTasks(deps, run.id, 'Orchestra could not go on with it');
      await recordStop(deps, run, request);
      await close(await refuse(deps, run, error));
    } catch (second) {
      deps.logger.error({ err: second, run: run.id }, 'the run could not be closed');
    }
  }
}

async function accept(
  deps: RunsDeps,
  run: OpenRun,
  request: SubmitRun,
): Promise<{ run: AcceptedRun; concurrency: number }> {
  const { policy, image, made, secrets } = await planned(deps, run, request);
  const narrowed = await recordPlan(deps, run.id, request, made);
  const needed: ProvideRequest = {
    runId: run.id,
    snapshot: run.snapshot,
    plan: made.plan,
    policy,
    image,
    signal: run.controller.signal,
  };
  const needs = await planNeeds(deps, needed);
  await deps.log.append({
    type: 'run.accepted',
    run: run.id,
    pol: { hash: policy.digest, rule: 'review' },
    data: {
      plan: made.digest,
      policy: policy.digest,
      tasks: made.plan.tasks.length,
      image: `${image.reference} ${image.id}`,
      ...(narrowed.length === 0 ? {} : { narrowed }),
    },
  });
  const npmCaches = await provide(deps, needed, needs);
  return {
    concurrency: concurrencyFor(request, policy),
    run: {
      ...run,
      plan: made.plan,
      planDigest: made.digest,
      ordered: topological(made.plan.tasks),
      policy,
      image,
      npmCaches,
      secrets,
      artifactsLeft: { files: policy.run.artifactFiles, bytes: policy.run.artifactBytes },
    },
  };
}

async function planned(deps: RunsDeps, run: OpenRun, request: SubmitRun): Promise<Accepted> {
  try {
    return await planFor(deps, run.id, request);
  } catch (error) {
    if (error instanceof OrchestraError) await recordUnplanned(deps, run, request, error);
    throw error;
  }
}

/** Why there is no plan: none could be made, or the policy denies the one there is. */
async function recordUnplanned(
  deps: RunsDeps,
  run: OpenRun,
  request: SubmitRun,
  error: OrchestraError,
): Promise<void> {
  const reasons = reasonsOf(error);
  if (error.code === 'policy.denied') {
    await deps.log.append({
      type: 'policy.decided',
      run: run.id,
      outcome: 'denied',
      sev: 'alert',
      pol: { hash: policyFor(deps, request).digest, rule: 'plan' },
      data: { decision: 'deny', reasons },
    });
  } else if (error.code.startsWith('plan.')) {
    await deps.log.append({
      type: 'plan.failed',
      run: run.id,
      outcome: 'failed',
      data: { planner: plannerName(request), code: error.code, reasons },
    });
  }
}

/** Resolves with what is to be recorded with the end of the run. */
async function execute(deps: RunsDeps, run: AcceptedRun, concurrency: number): Promise<AnyEntry[]> {
  const { signal } = run.controller;
  const checkpoints = new Checkpoints(deps, run);
  const begin = expectTasks(deps, run, concurrency);
  const unstarted = await dispatch({
    nodes: run.plan.tasks,
    concurrency,
    slots: deps.slots,
    signal,
    execute: async (task) => {
      begin(task);
      const passed = await runTask(deps, run, task, signal);
      checkpoints.taskEnded();
      return passed || task.onFailure === 'continue';
    },
    skip: (task, because) => skip(deps, run, task, `${because} did not succeed`, because),
  });
  for (const task of unstarted) {
    await skip(deps, run, task, stopOf(signal)?.message ?? 'the run was stopped');
  }
  return checkpoints.last();
}

async function skip(
  deps: RunsDeps,
  run: AcceptedRun,
  task: PlanTask,
  reason: string,
  because?: string,
): Promise<void> {
  await deps.log.append(
    taskEntry(run, task.id, {
      type: 'task.skipped',
      data: { reason: cutText(reason, 256), ...(because === undefined ? {} : { because }) },
    }),
  );
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

function reasonsOf(error: OrchestraError): string[] {
  const places = error.places.map(({ file, line, column, pointer, message, hint }) => {
    const at = file === undefined ? (pointer ?? '') : `${file}:${line ?? 0}:${column ?? 0}`;
    return `${at === '' ? '' : `${at} `}${message}${hint === undefined ? '' : `, ${hint}`}`;
  });
  const next = error.hint === undefined ? [] : [`Next: ${error.hint}`];
  const all = [error.message, ...places, ...next].map((text) => cutText(text, 512));
  return all.length <= 64 ? all : [...all.slice(0, 63), `and ${all.length - 63} more`];
}

async function recordStop(deps: RunsDeps, run: OpenRun, request: SubmitRun): Promise<void> {
  const stop = stopOf(run.controller.signal);
  if (stop?.kind === 'timed_out') {
    await deps.log.append({
      type: 'run.timed_out',
      run: run.id,
      outcome: 'failed',
      data: { timeout_ms: request.timeoutMs ?? 0 },
    });
  } else if (stop?.kind === 'cancelled' || stop?.kind === 'daemon_stopping') {
    await deps.log.append({
      type: 'run.cancelled',
      run: run.id,
      data: { reason: cutText(stop.message, 256) },
    });
  }
}
