import type { Digest, RunId } from '#contract/ids.ts';
import type { Actor, AnyRecord, RecordData } from '#contract/records.ts';
import type { FailureClass } from '#contract/run.ts';
import { ownerOf } from '#daemon/access/caller.ts';
import { Learning } from '#daemon/planner/learning/learning.ts';

export type PastTask = {
  family: string;
  after?: string[];
  ms?: number;
  timeoutMs?: number;
  outcome?: 'succeeded' | 'failed' | 'timed_out' | 'cancelled';
  class?: FailureClass;
  rule?: string;
};

export type PastRun = {
  uid?: number;
  workspace?: string;
  shape?: Digest;
  plan?: Digest;
  planner?: string;
  goal?: string;
  kind?: Digest;
  outcome?: 'succeeded' | 'failed' | 'timed_out' | 'cancelled';
  ms?: number;
  /** Attempts, in the order in which they were made. */
  tasks?: PastTask[];
};

const letters = '0123456789abcdefghjkmnpqrstvwxyz';

/** Records as a daemon would write them, told to a fold, and kept to be told again. */
export class History {
  readonly records: AnyRecord[] = [];
  readonly learning: Learning;
  #runs = 0;

  constructor(...sizes: [{ keys: number; samples: number }?]) {
    this.learning = new Learning(ownerOf, ...sizes);
  }

  run(past: PastRun = {}): RunId {
    const id = this.#nextId();
    const { uid = 1000, workspace = 'demo', tasks = [], outcome = 'succeeded' } = past;
    const actor = userOf(uid);
    const { planner = 'rules', shape = digest('0'), plan = shape, goal, kind } = past;
    this.note('run.submitted', { run: id, actor, data: { workspace } });
    this.note('plan.made', {
      run: id,
      data: {
        planner,
        plan,
        shape,
        tasks: tasks.length,
        bytes: 0,
        clamped: [],
        ...(goal === undefined ? {} : { goal }),
        ...(kind === undefined ? {} : { kind }),
      },
    });
    for (const [i, task] of tasks.entries()) this.#attempt(id, i + 1, task);
    this.note('run.closed', { run: id, data: { outcome, duration_ms: past.ms ?? 1000 } });
    return id;
  }

  rate(run: RunId, rating: 'up' | 'down', uid = 1000): void {
    this.note('run.rated', { run, actor: userOf(uid), data: { rating } });
  }

  forget(data: Omit<RecordData<'learning.forgotten'>, 'before_seq'> = {}): void {
    this.note('learning.forgotten', { data: { ...data, before_seq: this.records.length } });
  }

  note(type: AnyRecord['type'], rest: { run?: RunId; actor?: Actor; [key: string]: unknown }) {
    const actor: Actor = { kind: 'daemon', auth: 'none' };
    const seq = this.records.length;
    const record = { type, seq, actor, ts: '', ...rest } as unknown as AnyRecord;
    this.records.push(record);
    this.learning.fold(record);
  }

  #attempt(run: RunId, attempt: number, task: PastTask): void {
    const obj = { task: task.family };
    const { family, after = [], outcome = 'succeeded', ms = 1000, timeoutMs = 300_000 } = task;
    const like = { family, after, timeout_ms: timeoutMs, memory_bytes: 1 };
    this.note('task.started', { run, obj, data: { attempt, like } });
    if (task.class !== undefined) {
      const data = { attempt, class: task.class, rule: task.rule ?? 'a-rule', next: [] };
      this.note('failure.classified', { run, obj, data });
    }
    const type = outcome === 'succeeded' ? 'task.finished' : 'attempt.ended';
    this.note(type, { run, obj, data: { attempt, outcome, duration_ms: ms } });
  }

  #nextId(): RunId {
    let rest = (this.#runs += 1);
    let text = '';
    for (let i = 0; i < 10; i += 1) {
      text = `${letters[rest % 32]}${text}`;
      rest = Math.floor(rest / 32);
    }
    return `r-${text}`;
  }
}

export function digest(digit: string): Digest {
  return `sha256:${digit.repeat(64)}`;
}

function userOf(uid: number): Actor {
  return { kind: 'user', auth: 'peer', uid };
}
