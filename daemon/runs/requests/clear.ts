import { OrchestraError } from '#contract/errors.ts';
import type { PlanTask } from '#contract/plan.ts';
import { toolRuleId } from '../../policy/judge.ts';
import type { Ask, Judgement } from '../../policy/judgement.ts';
import type { EffectivePolicy } from '../../policy/effective.ts';
import type { SandboxSpec } from '../../policy/spec.ts';
import type { RunsDeps } from '../deps.ts';
import type { AcceptedRun } from '../open-run.ts';
import type { RequestFacts } from './state.ts';
import { approvalOf } from './shown.ts';

/** A task as it is judged: its exact sandbox, or the one that is expected, and what was said of it. */
export type Judged = { spec: SandboxSpec; judgement: Judgement };

type Asks = Pick<RunsDeps, 'requests' | 'tools'>;
type Asking = Pick<AcceptedRun, 'id' | 'planDigest' | 'policy' | 'image' | 'snapshot'>;

/** Whether some rule could ask at all: where none could, nobody has to judge a task to find out. */
export function couldAsk({ documents }: EffectivePolicy): boolean {
  return documents.some(
    ({ rules = [], toolsGrowth }) =>
      toolsGrowth === 'ask' || rules.some(({ effect }) => effect === 'ask'),
  );
}

/** A rule asks about the exact sandbox of a task, and nobody said yes to exactly that yet. */
export class NotCleared extends Error {
  override readonly name = 'NotCleared';
  readonly judged: Judged;

  constructor(task: string, judged: Judged) {
    super(`${task} waits for people`);
    this.judged = judged;
  }
}

/**
 * Where a rule asks about the task, who granted it: this very sandbox, under this plan, policy and
 * snapshot. Undefined where nobody did. Nothing is asked.
 */
export function grantFor(
  deps: Asks,
  run: Asking,
  task: PlanTask,
  judged: Judged,
): RequestFacts | undefined {
  const { ask } = judged.judgement;
  if (ask === undefined) return undefined;
  const opening = openingOf(deps, run, task, { ...judged, ask });
  return deps.requests.granted(opening, opening.shown.ask);
}

/** Asks, where a rule does and nobody answered yet; without waiting. */
export async function askEarly(
  deps: Asks,
  run: Asking,
  task: PlanTask,
  judged: Judged,
): Promise<RequestFacts | undefined> {
  const { ask } = judged.judgement;
  if (judged.judgement.effect !== 'ask' || ask === undefined) return undefined;
  const opening = openingOf(deps, run, task, { ...judged, ask });
  return deps.requests.granted(opening, opening.shown.ask) ?? deps.requests.open(opening);
}

/**
 * Waits until people said yes, where a rule asks for it. Whoever calls waits outside of the task's
 * turn. Rejects with `approval.denied` or `approval.expired`, or with the reason of `signal`: then
 * the request stays, for whoever goes on with the run.
 */
export async function clear(
  deps: Asks,
  run: Asking,
  task: PlanTask,
  judged: Judged,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    const request = await askEarly(deps, run, task, judged);
    if (request === undefined) return;
    await deps.requests.settled(request, signal);
    if (request.state === 'granted') return;
    signal.throwIfAborted();
    // Asked anew, as it stands now; nobody said no.
    if (request.state !== 'withdrawn') throw refused(task.id, request);
  }
}

function openingOf(
  { requests, tools }: Asks,
  run: Asking,
  task: PlanTask,
  judged: Judged & { ask: Ask },
): ReturnType<typeof approvalOf> {
  const isForTool = judged.judgement.rules.some(
    ({ id, value }) => id === toolRuleId && value === true,
  );
  const { uid } = requests.states.askerOf(run.id) ?? {};
  const grows = isForTool ? tools.grownBy(uid, judged.spec) : undefined;
  return approvalOf(run, task, { ...judged, grows });
}

/** Why a task does not run: for the record, so without names. */
export function refused(task: string, request: RequestFacts): OrchestraError {
  const { id, state, kind, answers, reason, closedAt = '' } = request;
  if (state === 'expired') {
    return new OrchestraError('approval.expired', `nobody answered ${id} for ${task} in time`);
  }
  const no = answers.find(({ answer }) => answer === 'deny');
  const who = no?.by.uid === undefined ? 'somebody' : `uid:${no.by.uid}`;
  const why = reason === undefined ? '' : `: ${reason}`;
  const what = kind === 'question' ? 'declined to answer for' : 'denied';
  return new OrchestraError('approval.denied', `${who} ${what} ${task} at ${closedAt}${why}`);
}
