import type { Digest, RunId } from '#contract/ids.ts';
import type { Actor, AnyRecord, RecordData, RecordOf } from '#contract/records.ts';
import type { FailureClass, RunOutcome } from '#contract/run.ts';
import { Kept } from './kept.ts';

/** One attempt of a task that said something about its like. */
export type TaskSample = {
  seq: number;
  run: RunId;
  /** The first record of that run. */
  from: number;
  owner: string;
  workspace: string;
  attempt: number;
  passed: boolean;
  timedOut: boolean;
  class?: FailureClass;
  rule?: string;
  ms: number;
  timeoutMs: number;
  memoryBytes: number;
  action?: Digest;
  /** Families that it waited for. */
  after: readonly string[];
};

/** One run of a plan of some shape. */
export type RunSample = {
  seq: number;
  run: RunId;
  from: number;
  owner: string;
  plan: Digest;
  planner: string;
  goal?: string;
  kind?: Digest;
  passed: boolean;
  ms: number;
  /** The newest word of each person. */
  ratings: Map<string, 'up' | 'down'>;
};

/** Whose runs count; everybody's where nobody is named. */
export type Whose = string | undefined;

/** What tells one owner of runs from another. */
export type OwnerOf = (actor: Actor) => string;

type OpenTask = {
  like: NonNullable<RecordData<'task.started'>['like']>;
  action?: Digest;
  attempt: number;
  failure?: { class: FailureClass; rule: string };
  sample?: TaskSample;
};
type OpenRun = {
  from: number;
  owner: string;
  workspace: string;
  made?: RecordData<'plan.made'>;
  /** The plan that it began with did not do. */
  wasRevised?: true;
  tasks: Map<string, OpenTask>;
};

/** Nothing can be learned from these about the task: the machine was at fault. */
const oursToo: readonly FailureClass[] = ['infra_transient', 'infra_permanent', 'denied'];

/**
 * What earlier runs teach: a fold over the log, and nothing else. Samples are kept and not sums, so
 * that each number can name its runs, and so that what is forgotten or let go with the log is
 * really gone. It only ever chooses and warns: nothing in here has a say in what is allowed.
 */
export class Learning {
  readonly #open = new Map<string, OpenRun>();
  readonly #ownerOf: OwnerOf;
  readonly #families: Kept<TaskSample>;
  readonly #shapes: Kept<RunSample>;
  /** Where to find a run that is rated. */
  #allForgottenBefore = 0;
  readonly #shapeOf = new Map<string, RunSample>();

  constructor(ownerOf: OwnerOf, { keys = 2048, samples = 64 } = {}) {
    this.#ownerOf = ownerOf;
    this.#families = new Kept({ keys, samples });
    this.#shapes = new Kept({ keys, samples });
  }

  fold(record: AnyRecord): void {
    if (record.type === 'log.pruned') this.#forget((one) => one.from < record.data.to_seq);
    else if (record.type === 'learning.forgotten') this.#forgotten(record.data);
    if (record.run === undefined) return;
    if (record.type === 'run.submitted') this.#begin(record);
    else if (record.type === 'run.rated') this.#rate(record);
    const run = this.#open.get(record.run);
    if (run === undefined) return;
    if (record.type === 'plan.made') run.made = record.data;
    else if (record.type === 'plan.revised') run.wasRevised = true;
    else if (record.type === 'run.closed') this.#close(run, record);
    else this.#foldTask(run, record);
  }

  /** The samples of a family, oldest first. */
  samples(family: string, whose: Whose): readonly TaskSample[] {
    return this.#families.of(family).filter(({ owner }) => whose === undefined || owner === whose);
  }

  /** The runs of plans of a shape, oldest first. */
  runs(shape: Digest, whose: Whose): readonly RunSample[] {
    return this.#shapes.of(shape).filter(({ owner }) => whose === undefined || owner === whose);
  }

  families(whose: Whose): { family: string; samples: readonly TaskSample[] }[] {
    return this.#families
      .entries()
      .map(([family]) => ({ family, samples: this.samples(family, whose) }))
      .filter(({ samples }) => samples.length > 0);
  }

  shapes(whose: Whose): { shape: Digest; runs: readonly RunSample[] }[] {
    return this.#shapes
      .entries()
      .map(([key]) => ({ shape: key, runs: this.runs(key, whose) }))
      .filter(({ runs }) => runs.length > 0);
  }

  /** All of it, to be compared. */
  all(): unknown {
    return { families: this.families(undefined), shapes: this.shapes(undefined) };
  }

  #begin(record: RecordOf<'run.submitted'>): void {
    const { run = '', seq, actor, data } = record;
    if (this.#open.has(run)) return;
    const { workspace } = data;
    this.#open.set(run, { from: seq, owner: this.#ownerOf(actor), workspace, tasks: new Map() });
  }

  #foldTask(run: OpenRun, record: AnyRecord): void {
    const task = record.obj?.['task'];
    if (task === undefined) return;
    if (record.type === 'task.started') {
      const { like, action, attempt } = record.data;
      run.tasks.delete(task);
      if (like === undefined) return;
      run.tasks.set(task, { like, attempt, ...(action === undefined ? {} : { action }) });
      return;
    }
    const open = run.tasks.get(task);
    if (open === undefined) return;
    if (record.type === 'failure.classified') {
      open.failure = { class: record.data.class, rule: record.data.rule };
      if (open.sample !== undefined) Object.assign(open.sample, open.failure);
    } else if (record.type === 'attempt.ended' || record.type === 'task.finished') {
      this.#end(run, open, record);
    }
  }

  #end(run: OpenRun, open: OpenTask, record: RecordOf<'attempt.ended' | 'task.finished'>): void {
    const { seq, data } = record;
    const passed = data.outcome === 'succeeded';
    const timedOut = data.outcome === 'timed_out';
    if (!passed && !timedOut && data.outcome !== 'failed') return;
    if (open.sample !== undefined || data.attempt !== open.attempt) return;
    if (open.failure !== undefined && oursToo.includes(open.failure.class)) return;
    open.sample = {
      seq,
      run: record.run ?? '',
      from: run.from,
      owner: run.owner,
      workspace: run.workspace,
      attempt: open.attempt,
      passed,
      timedOut,
      ...(passed ? {} : open.failure),
      ms: data.duration_ms,
      timeoutMs: open.like.timeout_ms,
      memoryBytes: open.like.memory_bytes,
      ...(open.action === undefined ? {} : { action: open.action }),
      after: open.like.after,
    };
    this.#families.note(open.like.family, open.sample);
  }

  #close(
    { from, owner, made, wasRevised }: OpenRun,
    { run = '', seq, data }: RecordOf<'run.closed'>,
  ): void {
    this.#open.delete(run);
    const { outcome } = data;
    const passed = outcome === 'succeeded' && wasRevised === undefined;
    if (made?.shape === undefined || !judging.includes(outcome)) {
      return;
    }
    const { shape, plan, planner, goal, kind } = made;
    const sample: RunSample = {
      seq,
      run,
      from,
      owner,
      plan,
      planner,
      passed,
      ms: data.duration_ms,
      ...(goal === undefined ? {} : { goal }),
      ...(kind === undefined ? {} : { kind }),
      ratings: new Map(),
    };
    this.#shapes.note(shape, sample);
    this.#shapeOf.set(run, sample);
    if (this.#shapeOf.size <= ratedMax) return;
    for (const oldest of this.#shapeOf.keys()) {
      this.#shapeOf.delete(oldest);
      return;
    }
  }

  #rate({ run = '', actor, data }: RecordOf<'run.rated'>): void {
    this.#shapeOf.get(run)?.ratings.set(this.#ownerOf(actor), data.rating);
  }

  /** Nothing that began before this record is to be learned from, by anybody. */
  get allForgottenBefore(): number {
    return this.#allForgottenBefore;
  }

  #forgotten({ family, owner, ...data }: RecordData<'learning.forgotten'>): void {
    if (family === undefined && owner === undefined) this.#allForgottenBefore = data.before_seq;
    this.#forget(
      (one, key) => (owner === undefined || one.owner === owner) && (family ?? key) === key,
      { shapes: family === undefined },
    );
  }

  #forget(
    isForgotten: (sample: { from: number; owner: string }, key: string) => boolean,
    { shapes = true } = {},
  ): void {
    this.#families.forget((key, sample) => isForgotten(sample, key));
    if (!shapes) return;
    this.#shapes.forget((key, sample) => isForgotten(sample, key));
    for (const [run, sample] of this.#shapeOf) {
      if (isForgotten(sample, '')) this.#shapeOf.delete(run);
    }
  }
}

/** Of an end that people or refusals made, a plan is not to blame. */
const judging: readonly RunOutcome[] = ['succeeded', 'failed', 'timed_out'];
const ratedMax = 16_384;
