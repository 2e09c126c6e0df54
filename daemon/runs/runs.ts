import { OrchestraError } from '#contract/errors.ts';
import type { Digest } from '#contract/ids.ts';
import type { Plan } from '#contract/plan.ts';
import type { Actor } from '#contract/records.ts';
import type { ComparedPlans } from '#contract/planning.ts';
import type {
  ComparePlans,
  ContinueAnswer,
  ContinueRun,
  ImportRun,
  PauseRun,
  RunRow,
  RunView,
  SubmitRun,
} from '#contract/run.ts';
import { noSnapshot } from '../access/brought.ts';
import type { Caller } from '../access/caller.ts';
import type { Said } from '../audit/vault/vault.ts';
import { newRunId } from '../base/ids.ts';
import { within } from '../base/deadline.ts';
import type { EffectivePolicy } from '../policy/effective.ts';
import { msSince } from '../sandbox/adopt.ts';
import {
  concurrencyFor,
  entryFor,
  loadPlan,
  planFor,
  policyAgain,
  policyFor,
  type Accepted,
} from './accept.ts';
import { beginAgain, beginLeft, earlierOf, type Earlier } from './begin-again.ts';
import { beginNew } from './begin-new.ts';
import { chooseTasks, type Choice } from './choose.ts';
import { comparePlans } from './compare-plans.ts';
import { failpoint } from '../base/failpoints.ts';
import type { RunsDeps } from './deps.ts';
import { findRun } from './find.ts';
import { hintsByTask } from './hints.ts';
import type { AcceptedRun, OpenRun } from './open-run.ts';
import type { OutputFile } from './output.ts';
import { factsOf, leftInCheckpoint } from './imported.ts';
import { Pause } from './pause.ts';
import { planLeft } from './prune/plan-left.ts';
import { closeUnaccepted } from './recover.ts';
import { dropUntaken, takeOver, type TakenOver } from './take-over.ts';
import { People } from './requests/people.ts';
import { isOpenFailure } from './replan/eligible.ts';
import { RunTimer } from './run-timer.ts';
import type { RunFacts } from './state.ts';
import { Stop } from './stop.ts';
import { tellStory } from './story.ts';
import { personalOf, rowOf, viewOf } from './view.ts';

/** What is submitted, with words that nobody recorded yet or that are on record already. */
type Submitted = Omit<SubmitRun, 'plan' | 'exec' | 'policy' | 'intent'> & {
  intent: Said;
  /** Of the workspace. */
  bytes: number;
};

/** The room's face: what the edge may ask of runs. */
export class Runs {
  readonly #deps: RunsDeps;
  readonly #open = new Map<string, OpenRun>();
  /** Those that were let in and have no run yet; a stop waits for them too. */
  readonly #submissions = new Set<Promise<unknown>>();
  #stopping = false;

  constructor(deps: RunsDeps) {
    this.#deps = deps;
  }

  /** Durable when it returns; the story is told in the background and followed in the log. */
  async submit(request: SubmitRun, actor: Actor): Promise<RunFacts['id']> {
    return this.#submitting(this.#submit(request, actor));
  }

  async #submitting<T>(submission: Promise<T>): Promise<T> {
    this.#submissions.add(submission);
    try {
      return await submission;
    } finally {
      this.#submissions.delete(submission);
    }
  }

  async #submit(request: SubmitRun, actor: Actor): Promise<RunFacts['id']> {
    const { bytes } = await this.#assertReady(request.snapshot);
    if (request.planner !== undefined) this.#deps.planners.assertKnown(request.planner);
    using _coming = await this.#deps.quotas.admitRun(actor);
    const policy = policyFor(this.#deps, request);
    const id = newRunId();
    const { timeoutMs } = await this.#recordSubmitted(
      id,
      { ...request, intent: { text: request.intent }, bytes },
      policy,
      actor,
    );
    this.#begin({ id, snapshot: request.snapshot, timeoutMs }, (run) =>
      beginNew(this.#deps, run, request),
    );
    return id;
  }

  async #recordSubmitted(
    id: RunFacts['id'],
    { intent, ...request }: Submitted,
    policy: EffectivePolicy,
    caller: Actor,
    continues?: RunFacts['continues'],
  ): Promise<{ timeoutMs: number }> {
    const timeoutMs = Math.min(request.timeoutMs ?? policy.run.timeoutMs, policy.run.timeoutMs);
    const { vault } = this.#deps;
    const actor = await vault.actor(caller);
    // Durable before the record that stands on it.
    const kept = 'text' in intent ? await vault.keep(actor, intent.text) : intent;
    await this.#deps.log.append({
      type: 'run.submitted',
      run: id,
      actor,
      data: {
        intent_commitment: kept.commitment,
        subject: kept.subject,
        snapshot: request.snapshot,
        policy: policy.name,
        concurrency: concurrencyFor(request, policy),
        timeout_ms: timeoutMs,
        workspace: request.workspace,
        workspace_bytes: request.bytes,
        ...(request.priority === undefined ? {} : { priority: request.priority }),
        ...(request.cache === undefined ? {} : { cache: request.cache }),
        ...(request.replan === undefined ? {} : { replan: request.replan }),
        ...(continues === undefined ? {} : { continues }),
      },
    });
    failpoint('after-run-submitted');
    return { timeoutMs };
  }

  /**
   * Goes on from a run: lifts its pause, or begins a new run that keeps what counts. Throws
   * `run.conflict` where tasks with side effects would run twice and nobody said that they may.
   */
  async goOn(reference: string, request: ContinueRun, actor: Actor): Promise<ContinueAnswer> {
    const run = this.find(reference);
    const none = { kept: [], rerun: [], twice: [] };
    if (run.paused !== undefined && request.mode === 'resume') {
      if (!request.dryRun) await this.#unpause(run, actor);
      return { id: run.id, ...none };
    }
    if (run.closedAt === undefined)
      return { id: run.id, ...none, nothing: `${run.id} is under way` };
    if (run.state === 'succeeded' && request.mode === 'resume') {
      return { id: run.id, ...none, nothing: `${run.id} succeeded` };
    }
    const byHand = request.mode === 'replan' ? replanOf(run, request) : undefined;
    const earlier = { ...(await earlierOf(this.#deps, run)), ...(byHand && { byHand }) };
    const choice = chooseTasks(run, earlier.plan, request);
    const answer = { kept: choice.kept, rerun: choice.rerun, twice: choice.twice };
    if (request.dryRun) return answer;
    if (choice.twice.length > 0 && !request.again) throw twiceError(choice.twice);
    const { mode, again, concurrency, timeoutMs } = request;
    const task = byHand?.task ?? request.task;
    const continues = { run: run.id, mode, again, ...(task === undefined ? {} : { task }) };
    const submitted = {
      intent: run.intent,
      snapshot: run.snapshot,
      workspace: run.workspace,
      concurrency: concurrency ?? run.concurrency,
      timeoutMs: timeoutMs ?? run.timeoutMs,
      priority: run.priority,
      cache: run.cache,
    };
    return { ...answer, id: await this.#continue(submitted, earlier, choice, continues, actor) };
  }

  async #continue(
    request: Omit<Submitted, 'bytes'>,
    earlier: Earlier,
    choice: Choice,
    continues: NonNullable<RunFacts['continues']>,
    actor: Actor,
  ): Promise<RunFacts['id']> {
    const submission = (async () => {
      const { bytes } = await this.#assertReady(request.snapshot);
      using _coming = await this.#deps.quotas.admitRun(actor);
      const { policy } = earlier.entry ?? (await policyAgain(this.#deps, earlier.policy));
      const id = newRunId();
      const { timeoutMs } = await this.#recordSubmitted(
        id,
        { ...request, bytes },
        policy,
        actor,
        continues,
      );
      this.#begin({ id, snapshot: request.snapshot, timeoutMs }, (run) =>
        beginAgain(this.#deps, run, earlier, choice),
      );
      return id;
    })();
    return this.#submitting(submission);
  }

  /** Goes on from a checkpoint, of this daemon or of one that it trusts, with what is here of it. */
  async importRun(request: ImportRun, actor: Actor): Promise<ContinueAnswer> {
    const checkpoint = await this.#deps.signer.open(request.checkpoint);
    const earlier: Earlier = {
      plan: await loadPlan(this.#deps, checkpoint.plan),
      policy: checkpoint.policy,
      ...(request.policy === undefined ? {} : { entry: entryFor(this.#deps, request) }),
      leftBy: (task) => leftInCheckpoint(checkpoint, task),
    };
    const choice = chooseTasks(factsOf(checkpoint), earlier.plan, { mode: 'resume' });
    const answer = { kept: choice.kept, rerun: choice.rerun, twice: choice.twice };
    if (request.dryRun) return answer;
    if (choice.twice.length > 0 && !request.again) throw twiceError(choice.twice);
    const { run_id: run, snapshot, workspace, concurrency, timeout_ms } = checkpoint;
    // Another daemon's checkpoint does not say what that one was asked for.
    const text = checkpoint.intent ?? `(what ${run} was asked for)`;
    const intent = this.#deps.states.find(run)?.intent ?? { text };
    const continues = { run, mode: 'import' as const, again: request.again };
    const submitted = { intent, snapshot, workspace, concurrency, timeoutMs: timeout_ms };
    return { ...answer, id: await this.#continue(submitted, earlier, choice, continues, actor) };
  }

  /** Starts nothing new of a run; with `freeze` what runs stands still as well. */
  async pause(reference: string, request: PauseRun, actor: Actor): Promise<RunFacts['id']> {
    const run = this.find(reference);
    const open = this.#open.get(run.id);
    if (!open || open.isClosing) throw isOver(run);
    if (run.state === 'cancelling') {
      throw new OrchestraError('run.conflict', `${run.id} is being cancelled`);
    }
    await this.#deps.log.append({
      type: 'run.pause.requested',
      run: run.id,
      actor,
      data: { kind: request.kind, reason: request.reason },
    });
    if (request.kind === 'freeze') await open.pause.freeze();
    else open.pause.drain();
    return run.id;
  }

  async #unpause(run: RunFacts, actor: Actor): Promise<void> {
    const open = this.#open.get(run.id);
    if (!open || open.isClosing) throw isOver(run);
    await this.#deps.log.append({
      type: 'run.unpaused',
      run: run.id,
      actor,
      data: { reason: 'asked by the user' },
    });
    await open.pause.lift();
  }

  /**
   * Goes on with what an earlier daemon left open. First it takes over the sandboxes that are still
   * there; then `tookOver` hears their names; only then anything new begins. Call once, before
   * anybody may submit.
   */
  async recover(tookOver: (names: Set<string>) => Promise<void>): Promise<string[]> {
    const left = this.#deps.log.openRuns();
    const taken = new Map<string, Map<string, TakenOver>>();
    for (const id of left) {
      const facts = this.#deps.states.find(id);
      if (facts) taken.set(id, await this.#takeOver(facts));
    }
    const all = [...taken.values()].flatMap((tasks) => [...tasks.values()]);
    await tookOver(new Set(all.map(({ adopted }) => adopted.effective.name)));
    await this.#dropUntaken(left, taken);
    for (const id of left) {
      const facts = this.#deps.states.find(id);
      if (facts?.policy === undefined) await closeUnaccepted(this.#deps, id);
      else this.#goOnWith(facts, taken.get(id) ?? new Map());
    }
    return left;
  }

  async #dropUntaken(
    left: readonly string[],
    taken: ReadonlyMap<string, ReadonlyMap<string, TakenOver>>,
  ): Promise<void> {
    let entries = 0;
    for (const id of left) {
      const facts = this.#deps.states.find(id);
      if (facts) entries += await dropUntaken(this.#deps, facts, taken.get(id) ?? new Map());
    }
    if (entries === 0) return;
    await this.#deps.log.append({ type: 'workspace.cleaned', data: { what: 'layers', entries } });
  }

  /** A run that cannot go on, because its policy or image is gone, takes nothing over. */
  async #takeOver(facts: RunFacts): Promise<Map<string, TakenOver>> {
    try {
      return await takeOver(this.#deps, facts);
    } catch (error) {
      if (this.#deps.log.blocked) throw error;
      this.#deps.logger.warn({ err: error, run: facts.id }, 'nothing was taken over');
      return new Map();
    }
  }

  #goOnWith(facts: RunFacts, taken: ReadonlyMap<string, TakenOver>): void {
    const { id, snapshot, timeoutMs, submittedStamp, cancelReason, paused } = facts;
    const { clock } = this.#deps;
    const { stillMs, stillSince } = facts;
    const stoodMs = stillMs + (stillSince === undefined ? 0 : msSince(stillSince, clock));
    const elapsedMs = Math.max(0, msSince(submittedStamp, clock) - stoodMs);
    const run = this.#begin({ id, snapshot, timeoutMs, elapsedMs }, (open) =>
      beginLeft(this.#deps, open, facts, taken),
    );
    if (cancelReason !== undefined) run.controller.abort(new Stop('cancelled', cancelReason));
    if (paused?.kind === 'freeze') void run.pause.freeze();
    else if (paused !== undefined) run.pause.drain();
  }

  /** Plans and judges, runs nothing. */
  async plan(request: SubmitRun, actor: Actor, signal: AbortSignal): Promise<Accepted> {
    await this.#assertReady(request.snapshot);
    return planFor(this.#deps, actor, request, signal);
  }

  /** Every planner's plan, best first; runs nothing. */
  async compare(request: ComparePlans, actor: Actor, signal: AbortSignal): Promise<ComparedPlans> {
    await this.#assertReady(request.snapshot);
    return comparePlans(this.#deps, actor, request, signal);
  }

  async cancel(reference: string, reason: string, actor: Actor): Promise<RunFacts['id']> {
    const run = this.find(reference);
    const open = this.#open.get(run.id);
    if (!open || open.isClosing) throw isOver(run);
    await this.#deps.log.append({
      type: 'run.cancel.requested',
      run: run.id,
      actor,
      data: { reason },
    });
    open.controller.abort(new Stop('cancelled', reason));
    // What stands still cannot end.
    await open.pause.lift();
    return run.id;
  }

  /** Among those that the caller sees; among all where nobody is named. */
  find(reference: string, caller?: Pick<Caller, 'sees'>): RunFacts {
    return findRun(this.#deps.states, reference, caller && this.#seenBy(caller));
  }

  async view(reference: string): Promise<RunView> {
    const run = this.find(reference);
    const personal = await personalOf(this.#deps.vault, run);
    const view = viewOf(
      run,
      await this.#planIfThere(run),
      await hintsByTask(run, this.#deps.blobs),
      personal,
    );
    const etaMs = this.#open.get(run.id)?.live.etaMs?.();
    const pruned = this.#deps.pruned.find(run.id);
    const more = { pruned: pruned && { ...pruned, by: personal.nameOf(pruned.by) } };
    return { ...view, ...more, ...(etaMs === undefined ? {} : { etaMs }) };
  }

  /** What a run came to can be shown without its plan: a disk may have lost that. */
  async #planIfThere(run: RunFacts): Promise<Plan | undefined> {
    try {
      return await this.planOf(run);
    } catch (error) {
      const lost: readonly string[] = ['blob.unknown', 'blob.damaged'];
      if (error instanceof OrchestraError && lost.includes(error.code)) return undefined;
      throw error;
    }
  }

  /** None before there is one, and none that was pruned with its run. */
  async planOf(run: RunFacts): Promise<Plan | undefined> {
    const { plan } = run;
    if (plan === undefined) return undefined;
    return planLeft(this.#deps.pruned, run, () => loadPlan(this.#deps, plan));
  }

  #seenBy(caller: Pick<Caller, 'sees'>): (run: RunFacts) => boolean {
    const asking = new Set(this.#deps.requests.states.open().map(({ run }) => run));
    return ({ id, owner }) => caller.sees({ owner, isAsking: asking.has(id) });
  }

  /** Newest first, from before `cursor` on, those that the caller sees. */
  async list(
    query: { limit: number; cursor?: string | undefined; state?: string | undefined },
    caller: Pick<Caller, 'sees'>,
  ): Promise<{ items: RunRow[]; next_cursor?: string }> {
    const newest = this.#deps.states.all().filter(this.#seenBy(caller)).toReversed();
    const start =
      query.cursor === undefined ? 0 : newest.findIndex((run) => run.id === query.cursor) + 1;
    const wanted = newest
      .slice(start)
      .filter((run) => query.state === undefined || run.state === query.state);
    const items = wanted.slice(0, query.limit);
    const last = items.at(-1);
    return {
      items: await Promise.all(
        items.map(async (run) => rowOf(run, await personalOf(this.#deps.vault, run))),
      ),
      ...(wanted.length > items.length && last ? { next_cursor: last.id } : {}),
    };
  }

  /** The run while it is open: its output files can be followed. */
  open(id: string): OpenRun | undefined {
    return this.#open.get(id);
  }

  get openCount(): number {
    return this.#open.size;
  }

  /** What the tasks that are at work write to. */
  get openOutputs(): OutputFile[] {
    return [...this.#open.values()].flatMap(({ outputs }) => [...outputs.values()]);
  }

  /**
   * Ends what runs and waits for it, `deadlineMs` at most. Nothing is accepted any more. With `leave`
   * the runs stay open, for the next daemon to go on with; else they are cancelled.
   */
  async stop(deadlineMs: number, { leave = false } = {}): Promise<void> {
    this.#stopping = true;
    const end = async () => {
      await Promise.allSettled(this.#submissions);
      const open = [...this.#open.values()];
      for (const run of open) {
        const kind = leave ? 'daemon_leaving' : 'daemon_stopping';
        run.controller.abort(new Stop(kind, 'the daemon was stopped'));
        // What stands still cannot end.
        void run.pause.lift();
      }
      await Promise.all(open.map((run) => run.done));
      await this.#deps.provenance.settled();
    };
    const late = () => new OrchestraError('daemon.stopping', 'Runs did not end in time');
    await within(end(), deadlineMs, late);
  }

  async #assertReady(snapshot: Digest): Promise<{ bytes: number }> {
    if (this.#stopping) throw new OrchestraError('daemon.stopping', 'The daemon is stopping');
    if (this.#open.size >= this.#deps.openRunsMax) {
      throw new OrchestraError('daemon.busy', `${this.#open.size} runs are open`, {
        hint: 'wait for one to end: orchestra runs',
      });
    }
    await this.#deps.workspace.disk.space.assert('no run is taken');
    await this.#deps.log.assertRoom();
    this.#deps.trail.assertSigned();
    this.#deps.anchoring.assertAnchored();
    const found = await this.#deps.workspace.snapshots.find(snapshot);
    if (found) return found;
    throw noSnapshot(snapshot);
  }

  #begin(
    {
      id,
      snapshot,
      timeoutMs,
      elapsedMs = 0,
    }: Pick<RunFacts, 'id' | 'snapshot' | 'timeoutMs'> & { elapsedMs?: number },
    accept: (run: OpenRun) => Promise<AcceptedRun>,
  ): OpenRun {
    const controller = new AbortController();
    const timer = new RunTimer(timeoutMs - elapsedMs, () => {
      controller.abort(new Stop('timed_out', `the run took longer than ${timeoutMs} ms`));
    });
    const done = Promise.withResolvers<void>();
    const run: OpenRun = {
      id,
      snapshot,
      controller,
      outputs: new Map(),
      pause: new Pause(),
      people: new People({ run: id, log: this.#deps.log, clock: timer }),
      live: {},
      isClosing: false,
      done: done.promise,
    };
    run.pause.useClock(timer);
    this.#open.set(id, run);
    const beginning = { accept: () => accept(run), timeoutMs, elapsedMs };
    void tellStory(this.#deps, run, beginning).finally(() => {
      timer[Symbol.dispose]();
      run.people[Symbol.dispose]();
      this.#deps.requests.forget(id);
      this.#open.delete(id);
      const closed = this.#deps.states.find(id);
      if (closed?.closedAt !== undefined) this.#deps.provenance.attest(closed);
      done.resolve();
    });
    return run;
  }
}

function isOver(run: RunFacts): OrchestraError {
  return new OrchestraError('run.conflict', `${run.id} is over: ${run.state}`, {
    hint: `orchestra show ${run.id}`,
  });
}

/** The failure that somebody wants another plan for. */
function replanOf(run: RunFacts, { task, hint }: ContinueRun): NonNullable<Earlier['byHand']> {
  const failed = [...run.tasks].find(
    ([id, facts]) => (task === undefined || id === task) && isOpenFailure(facts),
  );
  if (failed === undefined) {
    throw new OrchestraError(
      'run.conflict',
      `No task of ${run.id} failed so that another plan could help`,
      {
        hint: `orchestra show ${run.id}`,
      },
    );
  }
  return { run: run.id, task: failed[0], ...(hint === undefined ? {} : { hint }) };
}

function twiceError(twice: readonly string[]): OrchestraError {
  const them = twice.length === 1 ? 'it' : 'them';
  return new OrchestraError(
    'approval.missing',
    `${twice.join(', ')} began before and may have had effects; going on would run ${them} again`,
    { hint: 'the same with --again, if that may be' },
  );
}
