import type { AnyRecord, RecordData } from '#contract/records.ts';

type Known = { passedIn?: string; failed?: true };

/**
 * Which actions passed and which failed by themselves: a fold over the log. An action that did both
 * is flaky, because its key holds everything that could have made a difference. The ones heard of
 * last are kept.
 */
export class ActionHistory {
  readonly #known = new Map<string, Known>();
  /** Of each open run, the actions of the attempts that are on their way. */
  readonly #open = new Map<string, Map<string, string>>();
  readonly #max: number;

  constructor({ max = 20_000 }: { max?: number } = {}) {
    this.#max = max;
  }

  fold(record: AnyRecord): void {
    const { run } = record;
    const task = record.obj?.['task'];
    if (run === undefined) return;
    if (record.type === 'run.closed') {
      this.#open.delete(run);
      return;
    }
    if (task === undefined) return;
    switch (record.type) {
      case 'task.started':
        this.#begin(run, task, record.data.action);
        return;
      case 'attempt.ended':
      case 'task.finished':
        this.#end(run, task, record.data);
        return;
      default:
    }
  }

  /** The run in which it passed last; undefined where that is not known. */
  passedIn(action: string | undefined): string | undefined {
    return action === undefined ? undefined : this.#known.get(action)?.passedIn;
  }

  /** Whether it failed before, so that passing now makes it flaky. */
  hasFailed(action: string | undefined): boolean {
    return action !== undefined && this.#known.get(action)?.failed === true;
  }

  #begin(run: string, task: string, action: string | undefined): void {
    const open = this.#open.get(run) ?? new Map<string, string>();
    this.#open.set(run, open);
    if (action === undefined) open.delete(task);
    else open.set(task, action);
  }

  #end(run: string, task: string, data: RecordData<'attempt.ended'>): void {
    const open = this.#open.get(run);
    const action = open?.get(task);
    open?.delete(task);
    if (action === undefined) return;
    if (data.outcome === 'succeeded') this.#note(action, { passedIn: run });
    else if (isItsOwn(data)) this.#note(action, { failed: true });
  }

  #note(action: string, news: Known): void {
    const known = { ...this.#known.get(action), ...news };
    // To the end of the order, in which the oldest are forgotten.
    this.#known.delete(action);
    this.#known.set(action, known);
    if (this.#known.size <= this.#max) return;
    const [oldest] = this.#known.keys();
    if (oldest !== undefined) this.#known.delete(oldest);
  }
}

/**
 * The task failed by itself. Limits, time among them, are no part of the key: with others it may
 * well pass. An attempt that Orchestra could not go on with has no exit code.
 */
function isItsOwn({ outcome, exit_code, limit }: RecordData<'attempt.ended'>): boolean {
  return outcome === 'failed' && exit_code !== undefined && limit === undefined;
}
