import { OrchestraError } from '#contract/errors.ts';
import type { Digest } from '#contract/ids.ts';
import type { Plan, PlanTask } from '#contract/plan.ts';
import { canonicalJson } from '../../base/canonical.ts';
import { failpoint } from '../../base/failpoints.ts';
import { Ancestry } from '../../scheduler/ancestry.ts';
import type { Turn } from '../../scheduler/dispatch.ts';
import { topological } from '../../scheduler/graph.ts';
import { envelopeOf } from '../../planner/replan/envelope.ts';
import { draftOf } from '../../planner/replan/draft-of.ts';
import { errorLine, fingerprintOf, specHash } from '../../planner/replan/fingerprint.ts';
import type { Standing } from '../../planner/replan/merge.ts';
import type { Operation } from '../../planner/replan/operations.ts';
import { redact } from '../../planner/replan/redact.ts';
import type { ReplanFacts } from '../../planner/replan/prompt.ts';
import { remedyFor } from '../../planner/replan/remedies.ts';
import { readPackage } from '../../planner/rules/manifest.ts';
import type { Profile } from '../../planner/profile.ts';
import { loadPlan, planBytesMax, profileOf } from '../accept.ts';
import type { RunsDeps } from '../deps.ts';
import { isDone } from '../kept.ts';
import type { AcceptedRun } from '../open-run.ts';
import { triedOf, type PlannedByWords } from '../plan-words.ts';
import type { RunFacts, TaskFacts } from '../state.ts';
import { isOpenFailure, replansFor } from './eligible.ts';
import { Gate } from './gate.ts';
import { nextSteps } from './next-steps.ts';
import { revise, type Revision } from './revise.ts';
import { storedTail } from './stored-tail.ts';

type Tried = Pick<PlannedByWords, 'tried'>;

type Because = { task: string; class: string; rule: string; fingerprint: Digest };

/** What is asked of a planner is tried again so often where tasks began meanwhile. */
const roundsMax = 2;

/**
 * What becomes of a run's plan when a task of it failed for good. One failure after another: the
 * next one sees the plan that the one before left.
 */
export class Replanner {
  readonly #deps: RunsDeps;
  readonly #run: AcceptedRun;
  readonly #exchanged: () => Promise<void>;
  readonly #gate = new Gate();
  readonly #begun = new Set<string>();
  #turn: Promise<unknown> = Promise.resolve();
  #profile: Promise<Profile> | undefined;
  #first: Promise<Plan> | undefined;

  /** `exchanged` is awaited with another plan in place, before anything of it begins. */
  constructor(deps: RunsDeps, run: AcceptedRun, exchanged: () => Promise<void>) {
    this.#deps = deps;
    this.#run = run;
    this.#exchanged = exchanged;
  }

  /** Await it before a task begins. */
  admit(): Promise<void> | undefined {
    return this.#gate.wait();
  }

  /** Say it when it begins: from then on no other plan moves it. */
  begins(task: PlanTask): void {
    this.#begun.add(task.id);
  }

  /** Whether an earlier daemon left it failed, and never came to look for another way. */
  isPending(task: PlanTask): boolean {
    const facts = this.#facts();
    if (!this.#mayMend(facts, task)) return false;
    return facts.replanRefused.every((refused) => refused.task !== task.id);
  }

  /**
   * The nodes of the plan that goes on in place of the one in which `task` failed; nothing where
   * that one stands. The plan of the run is exchanged, and on record, when it resolves.
   */
  async after(task: PlanTask, turn: Turn): Promise<readonly PlanTask[] | undefined> {
    if (!this.#mayMend(this.#facts(), task)) return undefined;
    const mine = this.#turn.then(() => this.#mend(task, turn));
    this.#turn = mine.catch(() => {});
    return mine;
  }

  /** Before anything of the run begins: another plan for what failed in the run before it. */
  async byHand(): Promise<void> {
    const { byHand } = this.#run;
    const failed = this.#deps.states.find(byHand?.run ?? '')?.tasks.get(byHand?.task ?? '');
    const task = this.#run.plan.tasks.find(({ id }) => id === byHand?.task);
    if (byHand === undefined || failed === undefined || task === undefined) return;
    const turn: Turn = { outside: (wait) => wait() };
    const { hint = 'somebody asks for another way' } = byHand;
    await this.#mend(task, turn, { failed, hint });
  }

  #mayMend(facts: RunFacts, task: PlanTask): boolean {
    if (this.#run.controller.signal.aborted) return false;
    if (replansFor(facts, this.#run.plan, task) === 0) return false;
    return isOpenFailure(facts.tasks.get(task.id));
  }

  async #mend(
    task: PlanTask,
    turn: Turn,
    byHand?: { failed: TaskFacts; hint: string },
  ): Promise<readonly PlanTask[] | undefined> {
    const { signal } = this.#run.controller;
    const facts = this.#facts();
    const failed = byHand?.failed ?? facts.tasks.get(task.id);
    if (signal.aborted || failed?.failure === undefined) return undefined;
    const tail = await storedTail(this.#deps.blobs, failed.output).catch(() => '');
    const { class: kind, rule } = failed.failure;
    const line = errorLine(tail) || (failed.reason ?? '');
    const fingerprint = fingerprintOf({ spec: specHash(draftOf(task)), class: kind, line });
    const because = { task: task.id, class: kind, rule, fingerprint };
    const isSame = facts.revisions.some((one) => one.because.fingerprint === fingerprint);
    if (isSame) return this.#refuse(because, 'same_failure', failed);
    const most = byHand === undefined ? replansFor(facts, this.#run.plan, task) : 1;
    if (facts.revisions.length >= most) return this.#refuse(because, 'limit', failed);
    const request = await this.#request(task, failed, tail, byHand?.hint);
    const isAsked = request.remedy !== undefined || this.#deps.planners.hasModels;
    if (!isAsked) return byHand && this.#refuse(because, 'no_way', failed);
    for (let round = 1; ; round += 1) {
      // Others run meanwhile, in the place of this one.
      const found = await turn.outside(() =>
        this.#deps.planners.replan<readonly Operation[]>(
          {
            ...request,
            judge: async (operations) => {
              const judged = await this.#revise(task, operations);
              return judged.ok ? { ok: true, value: operations } : judged;
            },
          },
          { run: this.#run.id, signal },
        ),
      );
      if (found.value === undefined) return this.#refuse(because, 'no_way', failed, found);
      try {
        await this.#gate.close();
        // What began since then is frozen now.
        const judged = await this.#revise(task, found.value);
        if (judged.ok) return await this.#exchange(judged.value, because, found);
        if (round >= roundsMax) return await this.#refuse(because, 'no_way', failed, found);
      } finally {
        // After the graph was exchanged as well.
        setImmediate(() => this.#gate.open());
      }
    }
  }

  async #revise(task: PlanTask, operations: readonly Operation[]) {
    const facts = this.#facts();
    const first = await this.#firstPlan(facts);
    return revise(
      this.#deps,
      this.#run,
      { facts, first, standing: this.#standing(facts, task) },
      operations,
    );
  }

  async #exchange(
    { plan, digest, about, superseded, steps }: Revision,
    because: Because,
    { planner, tried }: Tried & { planner: string },
  ): Promise<readonly PlanTask[]> {
    const bytes = Buffer.from(canonicalJson(plan));
    await this.#deps.blobs.put(bytes, { maxBytes: planBytesMax });
    failpoint('before-plan-revised');
    await this.#deps.log.append({
      type: 'plan.revised',
      run: this.#run.id,
      data: {
        revision: this.#facts().revisions.length + 2,
        plan: digest,
        planner,
        tasks: plan.tasks.length,
        bytes: bytes.length,
        because,
        steps,
        superseded,
        ...triedOf(tried === undefined ? {} : { tried }),
      },
    });
    failpoint('after-plan-revised');
    this.#run.plan = plan;
    this.#run.planDigest = digest;
    this.#run.about = about;
    this.#run.ancestry = new Ancestry(topological(plan.tasks));
    for (const id of superseded) {
      await this.#deps.requests.withdraw(this.#run.id, `${id} is not in the plan any more`, id);
    }
    await this.#exchanged();
    return plan.tasks;
  }

  async #refuse(
    because: Because,
    code: 'limit' | 'same_failure' | 'no_way',
    failed: TaskFacts,
    found: Tried = {},
  ): Promise<undefined> {
    if (this.#run.controller.signal.aborted) return undefined;
    await this.#deps.log.append({
      type: 'replan.refused',
      run: this.#run.id,
      outcome: 'failed',
      data: {
        ...because,
        code,
        next: nextSteps(this.#run.id, because.task, code, failed.failure?.next ?? []),
        ...triedOf(found),
      },
    });
    return undefined;
  }

  async #request(task: PlanTask, failed: TaskFacts, tail: string, hint?: string) {
    const facts = this.#facts();
    const [profile, first, intent] = await Promise.all([
      (this.#profile ??= profileOf(this.#deps, this.#run.snapshot)),
      this.#firstPlan(facts),
      this.#deps.vault.words(facts.intent),
    ]);
    const manifest = readPackage(profile.texts['package.json'] ?? '');
    const scripts = [...(manifest?.scripts.keys() ?? [])];
    const { tasks } = this.#run.plan;
    const { tools, env, outputs } = envelopeOf(first);
    return {
      intent,
      tools: [...tools],
      remedy: remedyFor({
        failed: task,
        tasks,
        tail,
        scripts: new Set(scripts),
        names: new Set(profile.names),
      }),
      facts: {
        failed: {
          id: task.id,
          class: failed.failure?.class ?? 'unknown',
          rule: failed.failure?.rule ?? 'unknown',
          exitCode: failed.exitCode,
        },
        tail: redact(tail),
        tasks: tasks.map((one) => ({
          id: one.id,
          tool: one.tool,
          args: one.args,
          cwd: one.cwd,
          deps: one.deps,
          outputs: one.outputs,
          state: this.#stateOf(facts, one.id),
        })),
        scripts,
        targets: [],
        tools: [...tools],
        env: [...env],
        outputs: [...outputs],
        hint,
        before: facts.revisions.map(
          ({ because, steps }) =>
            `after ${because.task} failed: ${steps.map(({ op, task: id }) => `${op} ${id}`).join(', ')}`,
        ),
      },
    };
  }

  #stateOf(facts: RunFacts, id: string): ReplanFacts['tasks'][number]['state'] {
    const task = facts.tasks.get(id);
    if (task?.finishedAt === undefined) return this.#begun.has(id) ? 'running' : 'waiting';
    if (isDone(task)) return 'done';
    return task.state === 'skipped' ? 'skipped' : 'failed';
  }

  #standing(facts: RunFacts, failed: PlanTask): Standing {
    return {
      tasks: this.#run.plan.tasks,
      failed: failed.id,
      revision: facts.revisions.length + 2,
      isFrozen: (id) => {
        const task = facts.tasks.get(id);
        return this.#begun.has(id) || task?.finishedAt !== undefined || (task?.attempt ?? 0) > 0;
      },
      isClosed: (id) => {
        const task = facts.tasks.get(id);
        if (task?.finishedAt === undefined || isDone(task)) return false;
        const { onFailure } = this.#run.plan.tasks.find((one) => one.id === id) ?? {};
        return onFailure !== 'continue' || task.state === 'skipped';
      },
      isTaken: (id) =>
        facts.tasks.has(id) || facts.revisions.some((one) => one.superseded.includes(id)),
    };
  }

  async #firstPlan(facts: RunFacts): Promise<Plan> {
    const digest = facts.firstPlan;
    if (digest === undefined) return this.#run.plan;
    return (this.#first ??= loadPlan(this.#deps, digest));
  }

  #facts(): RunFacts {
    const facts = this.#deps.states.find(this.#run.id);
    if (!facts) throw new OrchestraError('internal.bug', `${this.#run.id} is not in the log`);
    return facts;
  }
}
