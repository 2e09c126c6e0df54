import { OrchestraError } from '#contract/errors.ts';
import type { Digest } from '#contract/ids.ts';
import type { Plan } from '#contract/plan.ts';
import type { Actor } from '#contract/records.ts';
import type { RunRow, RunView, SubmitRun } from '#contract/run.ts';
import { newRunId } from '../base/ids.ts';
import { within } from '../base/deadline.ts';
import { concurrencyFor, loadPlan, planFor, policyFor, type Accepted } from './accept.ts';
import type { RunsDeps } from './deps.ts';
import { findRun } from './find.ts';
import { hintsByTask } from './hints.ts';
import type { OpenRun } from './open-run.ts';
import type { RunFacts } from './state.ts';
import { Stop } from './stop.ts';
import { tellStory } from './story.ts';
import { rowOf, viewOf } from './view.ts';

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
    const submission = this.#submit(request, actor);
    this.#submissions.add(submission);
    try {
      return await submission;
    } finally {
      this.#submissions.delete(submission);
    }
  }

  async #submit(request: SubmitRun, actor: Actor): Promise<RunFacts['id']> {
    await this.#assertReady(request.snapshot);
    const policy = policyFor(this.#deps, request);
    const id = newRunId();
    const timeoutMs = Math.min(request.timeoutMs ?? policy.run.timeoutMs, policy.run.timeoutMs);
    await this.#deps.log.append({
      type: 'run.submitted',
      run: id,
      actor,
      data: {
        intent: request.intent,
        snapshot: request.snapshot,
        policy: policy.name,
        concurrency: concurrencyFor(request, policy),
        timeout_ms: timeoutMs,
        workspace: request.workspace,
      },
    });
    this.#begin(id, { ...request, timeoutMs });
    return id;
  }

  /** Plans and judges, runs nothing. */
  async plan(request: SubmitRun): Promise<Accepted> {
    await this.#assertReady(request.snapshot);
    return planFor(this.#deps, undefined, request);
  }

  async cancel(reference: string, reason: string, actor: Actor): Promise<RunFacts['id']> {
    const run = this.find(reference);
    const open = this.#open.get(run.id);
    if (!open || open.isClosing) {
      throw new OrchestraError('run.conflict', `${run.id} is over: ${run.state}`, {
        hint: `orchestra show ${run.id}`,
      });
    }
    await this.#deps.log.append({
      type: 'run.cancel.requested',
      run: run.id,
      actor,
      data: { reason },
    });
    open.controller.abort(new Stop('cancelled', reason));
    return run.id;
  }

  find(reference: string): RunFacts {
    return findRun(this.#deps.states, reference);
  }

  async view(reference: string): Promise<RunView> {
    const run = this.find(reference);
    return viewOf(run, await this.planOf(run), await hintsByTask(run, this.#deps.blobs));
  }

  async planOf(run: RunFacts): Promise<Plan | undefined> {
    return run.plan === undefined ? undefined : loadPlan(this.#deps, run.plan);
  }

  /** Newest first, from before `cursor` on. */
  list(query: { limit: number; cursor?: string | undefined; state?: string | undefined }): {
    items: RunRow[];
    next_cursor?: string;
  } {
    const newest = this.#deps.states.all().toReversed();
    const start =
      query.cursor === undefined ? 0 : newest.findIndex((run) => run.id === query.cursor) + 1;
    const wanted = newest
      .slice(start)
      .filter((run) => query.state === undefined || run.state === query.state);
    const items = wanted.slice(0, query.limit);
    const last = items.at(-1);
    return {
      items: items.map(rowOf),
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

  /** Cancels what runs and waits for it, `deadlineMs` at most. Nothing is accepted any more. */
  async stop(deadlineMs: number): Promise<void> {
    this.#stopping = true;
    const end = async () => {
      await Promise.allSettled(this.#submissions);
      const open = [...this.#open.values()];
      for (const run of open) {
        run.controller.abort(new Stop('daemon_stopping', 'the daemon was stopped'));
      }
      await Promise.all(open.map((run) => run.done));
    };
    const late = () => new OrchestraError('daemon.stopping', 'Runs did not end in time');
    await within(end(), deadlineMs, late);
  }

  async #assertReady(snapshot: Digest): Promise<void> {
    if (this.#stopping) throw new OrchestraError('daemon.stopping', 'The daemon is stopping');
    if (this.#open.size >= this.#deps.openRunsMax) {
      throw new OrchestraError('daemon.busy', `${this.#open.size} runs are open`, {
        hint: 'wait for one to end: orchestra runs',
      });
    }
    await this.#deps.workspace.disk.space.assert('no run is taken');
    await this.#deps.log.assertRoom();
    if (!(await this.#deps.workspace.snapshots.find(snapshot))) {
      throw new OrchestraError('snapshot.unknown', `There is no snapshot ${snapshot}`, {
        hint: 'upload it first: POST /v1/snapshots',
      });
    }
  }

  #begin(id: RunFacts['id'], request: SubmitRun & { timeoutMs: number }): void {
    const controller = new AbortController();
    const timer = setTimeout(() => {
      controller.abort(new Stop('timed_out', `the run took longer than ${request.timeoutMs} ms`));
    }, request.timeoutMs);
    const done = Promise.withResolvers<void>();
    const run: OpenRun = {
      id,
      snapshot: request.snapshot,
      controller,
      outputs: new Map(),
      isClosing: false,
      done: done.promise,
    };
    this.#open.set(id, run);
    void tellStory(this.#deps, run, request).finally(() => {
      clearTimeout(timer);
      this.#open.delete(id);
      done.resolve();
    });
  }
}
