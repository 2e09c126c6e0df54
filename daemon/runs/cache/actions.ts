import type { Digest } from '#contract/ids.ts';
import type { AnyRecord, RecordOf, RecordType } from '#contract/records.ts';
import type { Reused } from '../kept.ts';

/** What a task left that counts for every later one with the same key. */
export type Cached = Reused & {
  action: Digest;
  /** What the policy was then; whether today's allows the task is asked anew. */
  policy?: Digest;
  /** Passed only after it had failed with the same key. */
  flaky?: true;
};

/** A task that is under way: what its records said so far. */
type Pending = {
  action?: Digest | undefined;
  layer?: Digest;
  artifacts: Cached['artifacts'][number][];
  /** Something was left out or could not be taken, and whoever sees the result should hear of it. */
  isPoor?: true;
};

type RunNote = { policy?: Digest; tasks: Map<string, Pending> };

const cachedMax = 100_000;

/**
 * Which actions were done already: a fold over the log, like all state. Successes only, and only
 * those that are whole: not where output was cut, or where something of the layer or of an output
 * was left out. What was not used for longest is forgotten first.
 */
export class ActionCache {
  readonly #cached = new Map<Digest, Cached>();
  readonly #open = new Map<string, RunNote>();
  readonly #max: number;

  constructor(max = cachedMax) {
    this.#max = max;
  }

  fold(record: AnyRecord): void {
    const { run } = record;
    if (run === undefined) return;
    if (record.type === 'run.closed') {
      this.#open.delete(run);
      return;
    }
    if (record.type === 'run.accepted') {
      this.#noteOf(run).policy = record.data.policy;
      return;
    }
    const task = record.obj?.['task'];
    // What is said of a run after its end, or of no result, must not open it again.
    if (task !== undefined && isTelling(record)) {
      this.#foldTask(this.#noteOf(run), { run, task }, record);
    }
  }

  /** What is known, not whether it is still there. */
  find(action: Digest): Cached | undefined {
    return this.#cached.get(action);
  }

  /** Its result was pruned, or damaged. */
  forget(action: Digest): void {
    this.#cached.delete(action);
  }

  get size(): number {
    return this.#cached.size;
  }

  #foldTask(note: RunNote, at: { run: string; task: string }, record: AnyRecord): void {
    const { tasks } = note;
    const { task } = at;
    switch (record.type) {
      case 'task.started':
        tasks.set(task, { action: record.data.action, artifacts: [] });
        return;
      case 'layer.sealed':
        pendingOf(tasks, task).layer = record.data.layer;
        return;
      case 'artifact.collected': {
        const { name, path, sha256, bytes, kind } = record.data;
        pendingOf(tasks, task).artifacts.push({ name, path, sha256, bytes, kind });
        return;
      }
      case 'artifact.rejected':
        // One that is not there will not be there again; one that was too large may fit elsewhere.
        if (record.data.reason !== 'not there') pendingOf(tasks, task).isPoor = true;
        return;
      case 'layer.left_out':
      case 'artifact.left_out':
        pendingOf(tasks, task).isPoor = true;
        return;
      case 'attempt.ended':
      case 'task.skipped':
        tasks.delete(task);
        return;
      case 'task.finished':
        this.#finish(note, at, record);
        tasks.delete(task);
        return;
      case 'task.cached':
        this.#use(note, task, record);
        tasks.delete(task);
        return;
      default:
    }
  }

  #finish(
    { policy, tasks }: RunNote,
    { run, task }: { run: string; task: string },
    { data }: RecordOf<'task.finished'>,
  ): void {
    const { action, layer, artifacts, isPoor } = tasks.get(task) ?? {};
    if (data.outcome !== 'succeeded' || action === undefined || layer === undefined) return;
    if (isPoor === true || data.output_truncated || artifacts === undefined) return;
    this.#put({
      run,
      task,
      attempt: data.attempt,
      action,
      layer,
      output: data.output,
      outputBytes: data.output_bytes,
      outputTruncated: false,
      durationMs: data.duration_ms,
      artifacts,
      ...(policy === undefined ? {} : { policy }),
      ...(data.flaky === true ? { flaky: true } : {}),
    });
  }

  /** A use makes it young again, and known again where it was forgotten. */
  #use({ policy, tasks }: RunNote, task: string, { data }: RecordOf<'task.cached'>): void {
    const { action } = data;
    if (action === undefined || data.output_truncated) return;
    const known = this.#cached.get(action);
    this.#put(
      known ?? {
        run: data.from_run,
        task: data.from_task,
        attempt: data.attempt,
        action,
        layer: data.layer,
        output: data.output,
        outputBytes: data.output_bytes,
        outputTruncated: false,
        durationMs: data.duration_ms,
        artifacts: tasks.get(task)?.artifacts ?? [],
        ...(policy === undefined ? {} : { policy }),
      },
    );
  }

  #put(cached: Cached): void {
    this.#cached.delete(cached.action);
    this.#cached.set(cached.action, cached);
    const [oldest] = this.#cached.keys();
    if (this.#cached.size > this.#max && oldest !== undefined) this.#cached.delete(oldest);
  }

  #noteOf(run: string): RunNote {
    const known = this.#open.get(run);
    if (known !== undefined) return known;
    const note: RunNote = { tasks: new Map() };
    this.#open.set(run, note);
    return note;
  }
}

const telling: ReadonlySet<RecordType> = new Set<RecordType>([
  'task.started',
  'layer.sealed',
  'artifact.collected',
  'artifact.rejected',
  'layer.left_out',
  'artifact.left_out',
  'attempt.ended',
  'task.skipped',
  'task.finished',
  'task.cached',
]);

function isTelling({ type }: AnyRecord): boolean {
  return telling.has(type);
}

function pendingOf(tasks: Map<string, Pending>, task: string): Pending {
  const known = tasks.get(task);
  if (known !== undefined) return known;
  const pending: Pending = { artifacts: [] };
  tasks.set(task, pending);
  return pending;
}
