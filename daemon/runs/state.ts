import type { Digest, RunId } from '#contract/ids.ts';
import { leftOutNamed, type LeftOutNote } from '#contract/left-out.ts';
import type { Actor, AnyRecord, RecordData } from '#contract/records.ts';
import type {
  Artifact,
  AttemptOutcome,
  Failure,
  LimitName,
  RunState,
  TaskState,
} from '#contract/run.ts';
import { ownerOf } from '../access/caller.ts';
import type { Said } from '../audit/vault/vault.ts';
import type { Stamp } from '../sandbox/adopt.ts';
import { emptyLayer } from '../workspace/layers.ts';

export type AttemptFacts = {
  attempt: number;
  outcome: AttemptOutcome;
  startedAt?: string;
  finishedAt?: string;
  durationMs?: number;
  exitCode?: number;
  reason?: string;
  output?: Digest;
  failure?: Failure;
};

/** What the log says of a sandbox with a task in it, for a daemon that finds it there. */
export type Released = {
  container: string;
  spec: Digest;
  at: Stamp;
  /** When it was frozen and thawed, in the order of the log. */
  froze: (Stamp & { type: 'container.freeze' | 'container.thaw' })[];
};

export type TaskFacts = {
  state: TaskState;
  attempt: number;
  /** Those before the last one, oldest first. */
  attempts?: AttemptFacts[];
  flaky?: boolean;
  failure?: Failure;
  /** The revision of the plan that does without it. */
  superseded?: number;
  from?: { run: RunId; task: string; why: 'cache' | 'resumed' };
  action?: Digest;
  /** It was about to be let go, or was: its command may have begun. */
  mayHaveBegun?: true;
  /** What people are asked before it begins. */
  asks?: { id: string; kind: 'approval' | 'question'; question?: string }[];
  /** The sandbox that it was let go in. */
  released?: Released;
  retryAt?: string;
  blockedBy?: string;
  /** How much of each budget of attempts is used up. */
  used?: { task: number; ours: number };
  startedAt?: string;
  finishedAt?: string;
  durationMs?: number;
  exitCode?: number;
  signal?: string;
  limit?: LimitName;
  limitAllowed?: number;
  limitPeak?: number;
  reason?: string;
  memoryPeakBytes?: number;
  cpuMs?: number;
  cpuThrottledMs?: number;
  pidsPeak?: number;
  openFilesPeak?: number;
  diskBytes?: number;
  diskFiles?: number;
  tmpPeakBytes?: number;
  output?: Digest;
  outputBytes?: number;
  outputTruncated?: boolean;
  outputDroppedBytes?: number;
  layer?: Digest;
  artifacts: Artifact[];
  leftOut?: LeftOutNote[];
  /** What the output looked like, and the blob that holds the lines. */
  hintIds?: readonly string[];
  hintLines?: Digest;
};

export type RunFacts = {
  id: RunId;
  state: RunState;
  /** What was asked for: the words, or what stands for them. */
  intent: Said;
  workspace: string;
  snapshot: Digest;
  policyName: string;
  policy?: Digest;
  planner?: string;
  /** Who was asked for the plan, in that order. */
  tried?: NonNullable<RecordData<'plan.made'>['tried']>;
  /** What earlier runs say of tasks like those of the plan. */
  warned?: readonly string[];
  /** Of an autonomous run: how the programs of its plan stood before it began. */
  rehearsed?: RecordData<'plan.rehearsed'>['programs'];
  /** The newest revision. */
  plan?: Digest;
  /** The one that it was accepted with. */
  firstPlan?: Digest;
  revisions: (RecordData<'plan.revised'> & { at: string })[];
  replanRefused: (RecordData<'replan.refused'> & { at: string })[];
  /** How often its plan may be revised, where somebody said. */
  replan?: number;
  image?: string;
  taskCount: number;
  submittedBy: string;
  /** What tells whose it is. */
  owner: string;
  /** As he was when he submitted it. */
  actor: Actor;
  submittedAt: string;
  /** The same by all clocks: that of the day may have been set since. */
  submittedStamp: Stamp;
  concurrency: number;
  timeoutMs: number;
  priority: number;
  /** False where every task runs, whatever ran before. */
  cache: boolean;
  continues?: NonNullable<RecordData<'run.submitted'>['continues']>;
  continuedBy?: RunId;
  paused?: { kind: 'drain' | 'freeze'; by: string; since: string; reason: string };
  /** How long it stood still so far, frozen or waiting for people, which its timeout does not count. */
  stillMs: number;
  stillSince?: Stamp;
  /** Why it stands still now. */
  still: Still[];
  cancelReason?: string;
  closedAt?: string;
  durationMs?: number;
  exitCode?: number;
  reason?: string;
  reasons: string[];
  clamped: readonly string[];
  /** What the ceiling took away from the policy that was asked for. */
  narrowed: readonly string[];
  checkpoint?: Digest;
  tasks: Map<string, TaskFacts>;
  /** Some layer of its tasks has something in it. */
  leftSomething: boolean;
  /** What people said of it, the newest of each; notes are in the vault. */
  ratings: Map<string, RecordData<'run.rated'>>;
  audit: { first: number; last: number; records: number };
};

/**
 * What is known about every run: a fold over the log, and nothing else. There is no setter; the
 * log calls `fold` with each durable record in order, at start with the whole history.
 */
export class RunStates {
  readonly #runs = new Map<string, RunFacts>();

  fold(record: AnyRecord): void {
    if (record.type === 'log.pruned') this.#forget(record.data.to_seq);
    if (record.run === undefined) return;
    if (record.type === 'run.submitted' && !this.#runs.has(record.run)) {
      this.#runs.set(record.run, submitted(record));
      const earlier = this.#runs.get(record.data.continues?.run ?? '');
      if (earlier) earlier.continuedBy = record.run;
    }
    const run = this.#runs.get(record.run);
    if (!run) return;
    run.audit.last = record.seq;
    run.audit.records += 1;
    // The only word about a run that counts after its end.
    if (record.type === 'run.rated') run.ratings.set(ownerOf(record.actor), record.data);
    apply(run, record);
  }

  /** Runs that began in what was let go; what is left of one is too little to be shown. */
  #forget(to: number): void {
    for (const [id, { audit }] of this.#runs) if (audit.first < to) this.#runs.delete(id);
  }

  find(id: string): RunFacts | undefined {
    return this.#runs.get(id);
  }

  /** The commitments to words that runs still stand on. */
  commitments(): Set<string> {
    const said = this.all().flatMap(({ intent, ratings }) => [
      ...('commitment' in intent ? [intent.commitment] : []),
      ...[...ratings.values()].flatMap(({ note_commitment: note }) => note ?? []),
    ]);
    return new Set(said);
  }

  /** All runs in the order of their submission. */
  all(): RunFacts[] {
    return [...this.#runs.values()];
  }
}

function submitted(record: AnyRecord & { type: 'run.submitted' }): RunFacts {
  return {
    id: record.run ?? '',
    state: 'submitted',
    intent: saidIn(record.data),
    workspace: record.data.workspace,
    snapshot: record.data.snapshot,
    policyName: record.data.policy,
    taskCount: 0,
    submittedBy: nameOf(record.actor),
    owner: ownerOf(record.actor),
    actor: record.actor,
    submittedAt: record.ts,
    submittedStamp: stampOf(record),
    concurrency: record.data.concurrency,
    timeoutMs: record.data.timeout_ms,
    priority: record.data.priority ?? 0,
    cache: record.data.cache ?? true,
    ...(record.data.replan === undefined ? {} : { replan: record.data.replan }),
    revisions: [],
    replanRefused: [],
    ...(record.data.continues === undefined ? {} : { continues: record.data.continues }),
    stillMs: 0,
    still: [],
    reasons: [],
    clamped: [],
    narrowed: [],
    tasks: new Map(),
    leftSomething: false,
    ratings: new Map(),
    audit: { first: record.seq, last: record.seq, records: 0 },
  };
}

/** Records from before there was a vault have the words. */
function saidIn(data: RecordData<'run.submitted'>): Said {
  const { intent = '', intent_commitment: commitment, subject } = data;
  return commitment === undefined || subject === undefined
    ? { text: intent }
    : { commitment, subject };
}

/**
 * Terminal states never move: what comes after `run.closed` is only counted, and nothing moves a
 * task after its end: attempts before the last one end with `attempt.ended`.
 */
function apply(run: RunFacts, record: AnyRecord): void {
  if (run.closedAt !== undefined) return;
  switch (record.type) {
    case 'plan.requested':
      if (run.state === 'submitted') run.state = 'planning';
      run.planner = record.data.planner;
      return;
    case 'plan.rehearsed':
      run.rehearsed = record.data.programs;
      return;
    case 'plan.made':
      run.plan = record.data.plan;
      run.firstPlan = record.data.plan;
      run.planner = record.data.planner;
      run.taskCount = record.data.tasks;
      run.clamped = record.data.clamped;
      if (record.data.tried !== undefined) run.tried = record.data.tried;
      if (record.data.warned !== undefined) run.warned = record.data.warned;
      return;
    case 'plan.failed':
      if (record.data.tried !== undefined) run.tried = record.data.tried;
      run.reasons = [...new Set([...run.reasons, ...record.data.reasons])];
      return;
    case 'plan.revised':
      revise(run, record);
      return;
    case 'replan.refused':
      run.replanRefused.push({ ...record.data, at: record.ts });
      return;
    case 'run.refused':
      run.reasons = [...new Set([...run.reasons, ...record.data.reasons])];
      return;
    case 'run.accepted':
      if (run.state !== 'cancelling') run.state = 'running';
      run.policy = record.data.policy;
      run.image = record.data.image;
      run.narrowed = record.data.narrowed ?? [];
      return;
    case 'run.cancel.requested':
      run.state = 'cancelling';
      run.cancelReason = record.data.reason;
      unpause(run, stampOf(record));
      goOn(run, 'people', stampOf(record));
      return;
    case 'run.pause.requested':
      // Of a frozen run the time stands still from the first freeze on.
      unpause(run, stampOf(record));
      if (run.state === 'running') run.state = 'paused';
      run.paused = {
        kind: record.data.kind,
        by: nameOf(record.actor),
        since: record.ts,
        reason: record.data.reason,
      };
      if (record.data.kind === 'freeze') standStill(run, 'frozen', stampOf(record));
      return;
    case 'run.unpaused':
      if (run.state === 'paused') run.state = 'running';
      unpause(run, stampOf(record));
      return;
    case 'run.stands':
      standStill(run, 'people', stampOf(record));
      return;
    case 'run.goes_on':
    case 'run.recovered':
      goOn(run, 'people', stampOf(record));
      return;
    case 'run.closed':
      unpause(run, stampOf(record));
      goOn(run, 'people', stampOf(record));
      run.state = record.data.outcome;
      run.closedAt = record.ts;
      run.durationMs = record.data.duration_ms;
      run.exitCode = record.data.exit_code;
      run.reason = record.data.reason;
      return;
    case 'checkpoint.saved':
      run.checkpoint = record.data.checkpoint;
      return;
    default:
      applyToTask(run, record);
  }
}

/** Its newest plan; what that does without is told apart for ever. */
function revise(run: RunFacts, { data, ts }: AnyRecord & { type: 'plan.revised' }): void {
  run.plan = data.plan;
  run.taskCount = data.tasks;
  run.revisions.push({ ...data, at: ts });
  for (const id of data.superseded) {
    const task = run.tasks.get(id) ?? { state: 'skipped' as const, attempt: 0, artifacts: [] };
    run.tasks.set(id, task);
    task.superseded = data.revision;
    if (task.finishedAt !== undefined) continue;
    // It did not begin, and never will.
    task.state = 'skipped';
    task.finishedAt = ts;
    delete task.asks;
  }
}

function applyToTask(run: RunFacts, record: AnyRecord): void {
  const id = record.obj?.['task'];
  if (id === undefined) return;
  const task = run.tasks.get(id) ?? { state: 'waiting', attempt: 0, artifacts: [] };
  if (task.finishedAt !== undefined) return;
  run.tasks.set(id, task);
  switch (record.type) {
    case 'task.started':
      run.tasks.set(id, {
        state: 'running',
        attempt: record.data.attempt,
        ...(task.attempts === undefined ? {} : { attempts: task.attempts }),
        ...(task.used === undefined ? {} : { used: task.used }),
        ...(record.data.action === undefined ? {} : { action: record.data.action }),
        ...(task.asks === undefined ? {} : { asks: task.asks }),
        startedAt: record.ts,
        artifacts: [],
      });
      return;
    case 'attempt.unknown':
      task.state = 'unknown';
      task.reason = record.data.reason;
      return;
    case 'container.release':
      noteRelease(task, record);
      return;
    case 'attempt.adopted':
      // What it left is looked at anew.
      task.artifacts = [];
      delete task.leftOut;
      return;
    case 'container.freeze':
    case 'container.thaw':
      if (record.stage === 'result' && record.outcome === 'ok') {
        const { type, ts, mono, boot } = record;
        task.released?.froze.push({ type, ts, mono, boot });
      }
      return;
    case 'attempt.ended':
      run.tasks.set(id, endAttempt(task, record));
      return;
    case 'failure.classified': {
      const { class: kind, rule, next } = record.data;
      const failure = { class: kind, rule, next: [...next] };
      const past = task.attempts?.findLast(({ attempt }) => attempt === record.data.attempt);
      if (past) past.failure = failure;
      else task.failure = failure;
      return;
    }
    case 'retry.scheduled':
      task.state = 'retry_wait';
      task.retryAt = new Date(Date.parse(record.ts) + record.data.after_ms).toISOString();
      task.used = spend(task.used, record.data.budget);
      return;
    case 'request.opened': {
      const { request, kind, question } = record.data;
      const named = question === undefined ? {} : { question: question.name };
      (task.asks ??= []).push({ id: request, kind, ...named });
      if (!isUnderWay(task)) task.state = kind;
      return;
    }
    case 'request.closed': {
      const left = (task.asks ?? []).filter(({ id: asked }) => asked !== record.data.request);
      if (left.length > 0) task.asks = left;
      else delete task.asks;
      if (task.state !== 'approval' && task.state !== 'question') return;
      task.state = left[0]?.kind ?? 'waiting';
      return;
    }
    case 'task.blocked':
      task.state = 'blocked';
      task.blockedBy = record.data.component;
      task.reason = record.data.reason;
      return;
    case 'task.cached':
      cached(task, record);
      run.leftSomething ||= record.data.layer !== emptyLayer;
      return;
    case 'task.skipped':
      task.state = 'skipped';
      delete task.asks;
      task.reason = record.data.reason;
      task.finishedAt = record.ts;
      return;
    case 'layer.sealed':
      task.layer = record.data.layer;
      run.leftSomething ||= record.data.layer !== emptyLayer;
      return;
    case 'limit.exceeded':
      task.limitAllowed = record.data.allowed;
      if (record.data.peak !== undefined) task.limitPeak = record.data.peak;
      return;
    case 'artifact.collected':
      task.artifacts.push({ ...record.data, task: id });
      return;
    case 'artifact.left_out':
      noteLeftOut(task, { output: record.data.name, ...record.data });
      return;
    case 'layer.left_out':
      noteLeftOut(task, record.data);
      return;
    case 'task.finished':
      finish(task, record);
      return;
    default:
  }
}

/** The history is in memory as long as the daemon runs: of thirty-two names it keeps the first. */
function noteLeftOut(task: TaskFacts, { output, entries, first }: LeftOutNote): void {
  (task.leftOut ??= []).push({
    ...(output === undefined ? {} : { output }),
    entries,
    first: first.slice(0, leftOutNamed),
  });
}

/** An attempt of it began and did not end, as far as anybody knows. */
export function isUnderWay({
  state,
  finishedAt,
}: {
  state?: TaskState | undefined;
  finishedAt?: string | undefined;
}): boolean {
  return finishedAt === undefined && (state === 'running' || state === 'unknown');
}

function noteRelease(task: TaskFacts, record: AnyRecord & { type: 'container.release' }): void {
  // Durable before anybody lets it go.
  if (record.stage === 'intent') task.mayHaveBegun = true;
  const container = record.obj?.['container'];
  if (record.stage !== 'result' || record.outcome !== 'ok' || container === undefined) return;
  const { ts, mono, boot } = record;
  task.released = { container, spec: record.data.spec, at: { ts, mono, boot }, froze: [] };
}

/** What an attempt left is kept for ever; the task begins anew. */
function endAttempt(
  { attempts = [], used, ...task }: TaskFacts,
  { data, ts }: AnyRecord & { type: 'attempt.ended' },
): TaskFacts {
  const ended: AttemptFacts = {
    attempt: data.attempt,
    outcome: data.outcome,
    ...(task.startedAt === undefined ? {} : { startedAt: task.startedAt }),
    finishedAt: ts,
    durationMs: data.duration_ms,
    ...(data.exit_code === undefined ? {} : { exitCode: data.exit_code }),
    ...(data.reason === undefined ? {} : { reason: data.reason }),
    ...(data.output === undefined ? {} : { output: data.output }),
    ...(task.failure === undefined ? {} : { failure: task.failure }),
  };
  // Of a lost one nobody says what it was lost by; it is never the task's own fault. What never began
  // cost nothing.
  const isOurs = data.outcome === 'lost' && task.mayHaveBegun === true;
  const spent = isOurs ? spend(used, 'ours') : used;
  return {
    state: 'waiting',
    attempt: data.attempt,
    attempts: [...attempts, ended],
    ...(spent === undefined ? {} : { used: spent }),
    ...(task.asks === undefined ? {} : { asks: task.asks }),
    artifacts: [],
  };
}

function spend(used: TaskFacts['used'], budget: 'task' | 'ours'): NonNullable<TaskFacts['used']> {
  const { task = 0, ours = 0 } = used ?? {};
  return budget === 'ours' ? { task, ours: ours + 1 } : { task: task + 1, ours };
}

function cached(task: TaskFacts, { data, ts }: AnyRecord & { type: 'task.cached' }): void {
  task.state = 'cached';
  task.from = { run: data.from_run, task: data.from_task, why: data.why };
  task.layer = data.layer;
  task.durationMs = data.duration_ms;
  task.outputBytes = data.output_bytes;
  task.outputTruncated = data.output_truncated;
  task.finishedAt = ts;
  if (data.action !== undefined) task.action = data.action;
  if (data.output !== undefined) task.output = data.output;
}

function unpause(run: RunFacts, now: Stamp): void {
  goOn(run, 'frozen', now);
  delete run.paused;
}

type Still = 'frozen' | 'people';

/** For two reasons at once it stands still once. */
function standStill(run: RunFacts, why: Still, now: Stamp): void {
  if (run.still.length === 0) run.stillSince = now;
  if (!run.still.includes(why)) run.still.push(why);
}

function goOn(run: RunFacts, why: Still, now: Stamp): void {
  if (!run.still.includes(why)) return;
  run.still = run.still.filter((one) => one !== why);
  if (run.still.length > 0 || run.stillSince === undefined) return;
  run.stillMs += msBetween(run.stillSince, now);
  delete run.stillSince;
}

function stampOf({ ts, mono, boot }: AnyRecord): Stamp {
  return { ts, mono, boot };
}

/** By the clock that never goes back within one boot, else by the time of day. */
function msBetween(from: Stamp, to: Stamp): number {
  const ms =
    from.boot === to.boot
      ? Math.round((to.mono - from.mono) / 1000)
      : Date.parse(to.ts) - Date.parse(from.ts);
  return Math.max(0, ms);
}

function nameOf(actor: AnyRecord['actor']): string {
  return actor.name ?? `uid:${actor.uid ?? 'unknown'}`;
}

function finish(task: TaskFacts, record: AnyRecord & { type: 'task.finished' }): void {
  const { data } = record;
  task.state = data.outcome;
  delete task.asks;
  task.finishedAt = record.ts;
  task.durationMs = data.duration_ms;
  task.cpuMs = data.cpu_ms;
  task.memoryPeakBytes = data.memory_peak_bytes;
  task.outputBytes = data.output_bytes;
  task.outputTruncated = data.output_truncated;
  if (data.output_dropped_bytes !== undefined) {
    task.outputDroppedBytes = data.output_dropped_bytes;
  }
  if (data.exit_code !== undefined) task.exitCode = data.exit_code;
  if (data.signal !== undefined) task.signal = data.signal;
  if (data.limit !== undefined) task.limit = data.limit;
  if (data.reason !== undefined) task.reason = data.reason;
  if (data.cpu_throttled_ms !== undefined) task.cpuThrottledMs = data.cpu_throttled_ms;
  if (data.pids_peak !== undefined) task.pidsPeak = data.pids_peak;
  if (data.open_files_peak !== undefined) task.openFilesPeak = data.open_files_peak;
  if (data.disk_bytes !== undefined) task.diskBytes = data.disk_bytes;
  if (data.disk_files !== undefined) task.diskFiles = data.disk_files;
  if (data.tmp_peak_bytes !== undefined) task.tmpPeakBytes = data.tmp_peak_bytes;
  if (data.output !== undefined) task.output = data.output;
  if (data.hints !== undefined) task.hintIds = data.hints;
  if (data.hint_lines !== undefined) task.hintLines = data.hint_lines;
  if (data.flaky === true) task.flaky = true;
}
