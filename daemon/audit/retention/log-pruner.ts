import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { OrchestraError } from '#contract/errors.ts';
import type { LogPruneAnswer } from '#contract/retention.ts';
import type { Actor, AnyRecord, RecordData } from '#contract/records.ts';
import type { Clock } from '../../base/clock.ts';
import { syncFolder } from '../disk.ts';
import type { Checkpoints } from '../tree/types.ts';
import type { AnyEntry, Log } from '../types.ts';
import { Holds, type NewHold } from './holds.ts';
import { InForce, type InForcePlace } from './in-force.ts';
import { planPrune, type Need, type PrunePlan } from './plan.ts';
import type { SegmentFacts } from './survey.ts';

export type LogPrunerDeps = {
  /** The log's folder. */
  dir: string;
  log: Pick<
    Log,
    'read' | 'append' | 'appendAll' | 'segments' | 'first' | 'size' | 'origin' | 'runTip'
  >;
  checkpoints: Pick<Checkpoints, 'sign' | 'tree'>;
  folds: RetentionFolds;
  /** What is needed now, whatever its age. Asked each time. */
  needs: () => readonly Need[];
  clock: Pick<Clock, 'now' | 'mono'>;
  keepDays: number;
};

export type LogPruneRequest = { keepDays?: number | undefined; dryRun: boolean };

/** The folds that retention goes by; to be fed before the log is opened. */
export class RetentionFolds {
  readonly holds = new Holds();
  pruned: (RecordData<'log.pruned'> & { seq: number }) | undefined;
  readonly inForce = new InForce();

  fold(record: AnyRecord): void {
    this.holds.fold(record);
    this.inForce.fold(record);
    if (record.type === 'log.pruned') this.pruned = { ...record.data, seq: record.seq };
  }
}

const dayMs = 86_400_000;
const spansMax = 128;
const carriedMax = 200;
const segmentFile = /^(\d{16})\.jsonl$/;

/**
 * Lets the oldest part of the log go: says what goes, has that signed, and only then removes it,
 * whole closed segments from the front. What went stays provable: its hashes are in the tree's
 * tiles, which stay. One at a time, and holds wait for their turn, so none comes too late unseen.
 */
export class LogPruner {
  readonly #deps: LogPrunerDeps;
  readonly #began: { now: number; mono: number };
  readonly #ending = new AbortController();
  readonly #asked: (() => readonly Need[])[];
  #last: Promise<unknown> = Promise.resolve();

  constructor(deps: LogPrunerDeps) {
    this.#deps = deps;
    this.#asked = [deps.needs];
    this.#began = { now: deps.clock.now(), mono: deps.clock.mono() };
  }

  /** Somebody else who needs what is old; asked each time. */
  alsoNeeded(ask: () => readonly Need[]): void {
    this.#asked.push(ask);
  }

  /** What was let go last. */
  get pruned(): RetentionFolds['pruned'] {
    return this.#deps.folds.pruned;
  }

  get holds(): ReturnType<Holds['all']> {
    return this.#deps.folds.holds.all();
  }

  setHold(hold: NewHold, actor: Actor): Promise<void> {
    return this.#next(() => this.#deps.folds.holds.set(this.#deps.log, hold, actor));
  }

  clearHold(hold: { name: string; reason: string }, actor: Actor): Promise<void> {
    return this.#next(() => this.#deps.folds.holds.clear(this.#deps.log, hold, actor));
  }

  /** Removes what a record lets go and what is still there: a daemon ended in between. */
  resume(): Promise<number> {
    return this.#next(() => this.#removeLetGo());
  }

  async prune(request: LogPruneRequest, actor?: Actor): Promise<LogPruneAnswer> {
    const keepDays = this.#keepDays(request);
    let answer = answerOf(request, keepDays, { to: this.#deps.log.first, segments: [] });
    let plan: Pick<PrunePlan, 'stop'> = { stop: undefined };
    // A go at a time, so that whoever wants to set a hold need not wait for all of them.
    do {
      const gone = await this.#next(() => this.#pruneSome(request, keepDays, answer.to, actor));
      plan = gone;
      answer = add(answer, gone);
    } while (plan.stop === undefined);
    return answer;
  }

  async close(): Promise<void> {
    this.#ending.abort();
    await this.#last.catch(() => undefined);
  }

  /** Whoever may call the daemon may keep more than the settings say, and not less. */
  #keepDays({ keepDays = this.#deps.keepDays }: LogPruneRequest): number {
    if (keepDays >= this.#deps.keepDays) return keepDays;
    throw new OrchestraError(
      'request.invalid',
      `The settings keep ${this.#deps.keepDays} days of the log, and nobody less than that`,
      { hint: 'audit.keep_days in the daemon’s configuration is what decides' },
    );
  }

  #next<R>(work: () => Promise<R>): Promise<R> {
    const turn = this.#last.then(work, work);
    this.#last = turn;
    return turn;
  }

  async #pruneSome(
    { dryRun }: LogPruneRequest,
    keepDays: number,
    from: number,
    actor: Actor | undefined,
  ): Promise<PrunePlan> {
    const { log, dir, folds, checkpoints } = this.#deps;
    const { signal } = this.#ending;
    signal.throwIfAborted();
    if (!dryRun) await this.#removeLetGo();
    const signed = await checkpoints.sign();
    const before = this.#now() - keepDays * dayMs;
    const rules = { before, needs: this.#needs(), signed: signed.size };
    const found = await planPrune({ dir, log, holds: folds.holds }, rules, from, signal);
    const { plan, tips } = this.#withoutTooManyRuns(found);
    if (dryRun || plan.segments.length === 0) return plan;
    signal.throwIfAborted();
    // What came to be needed while all of that was read.
    const late = this.#needs().find((need) => need.from < plan.to);
    if (late !== undefined) {
      return {
        to: from,
        segments: [],
        stop: { why: 'needed', seq: late.from, detail: late.what },
      };
    }
    const tree = { size: signed.size, root: signed.root.toString('base64') };
    await this.#record(plan, tips, { tree, keepDays, actor });
    await this.#removeLetGo();
    return plan;
  }

  #needs(): Need[] {
    return this.#asked.flatMap((ask) => ask());
  }

  /** The carried ones first: the record that lets go comes last, and counts only if it is there. */
  async #record(
    { segments, to }: PrunePlan,
    tips: Tips,
    { tree, keepDays, actor }: Terms,
  ): Promise<void> {
    const { log, folds } = this.#deps;
    const carried: AnyEntry[] = [];
    for (const place of folds.inForce.before(to)) carried.push(await this.#carry(place, tree));
    while (carried.length > carriedMax) await log.appendAll(carried.splice(0, carriedMax));
    const latest = Math.max(...segments.map((segment) => segment.latest));
    // The runs last, in the tick in which the record gets its number.
    const pruned: AnyEntry = {
      type: 'log.pruned',
      sev: 'notice',
      actor,
      data: {
        origin: log.origin,
        from_seq: segments[0]?.first_seq ?? 0,
        to_seq: to,
        until: new Date(latest).toISOString(),
        segments: segments.map(named),
        spans: spansOf(log, tips),
        tree_size: tree.size,
        root: tree.root,
        keep_days: keepDays,
      },
    };
    await log.appendAll([...carried, pruned]);
  }

  async #carry({ of, at }: InForcePlace, newest: Tree): Promise<AnyEntry> {
    const { log, checkpoints } = this.#deps;
    for await (const { record, line, hash } of log.read({ from: at, to: at + 1 })) {
      const known = record as AnyRecord;
      const carried = known.type === 'log.carried' ? known.data : { line, sha256: hash, of };
      const isRotated = (JSON.parse(carried.line) as AnyRecord).type === 'key.rotated';
      const size = isRotated ? of + 1 : newest.size;
      const root = (await checkpoints.tree.rootAt(size)).toString('base64');
      const proof = (await checkpoints.tree.inclusion(of, size)).map((one) =>
        one.toString('base64'),
      );
      const { line: text, sha256 } = carried;
      return {
        type: 'log.carried',
        data: { of, line: text, sha256, tree_size: size, root, proof },
      };
    }
    throw new Error(`record ${at} is in force and not there`);
  }

  /** A run that goes on behind the cut is named in the record; fewer segments where that are many. */
  #withoutTooManyRuns(found: PrunePlan): { plan: PrunePlan; tips: Tips } {
    const { folds, log } = this.#deps;
    let best = { to: found.segments[0]?.first_seq ?? found.to, count: 0 };
    const tips: Tips = new Map(
      folds.pruned?.spans.map(({ run, records, last }) => [run, { records, last }]),
    );
    let bestTips: Tips = new Map(tips);
    for (const [at, segment] of found.segments.entries()) {
      for (const [run, tip] of segment.tips) tips.set(run, tip);
      if (spansOf(log, tips).length > spansMax / 2) continue;
      best = { to: segment.first_seq + segment.records, count: at + 1 };
      bestTips = new Map(tips);
    }
    const isAll = best.count === found.segments.length;
    const stop = {
      why: 'too_many_runs' as const,
      seq: best.to,
      detail: 'too many runs go on behind',
    };
    const segments = found.segments.slice(0, best.count);
    return {
      tips: bestTips,
      plan: { to: best.to, segments, stop: isAll ? found.stop : stop },
    };
  }

  /** Oldest first, each durably: whatever ends this, the rest has no hole. */
  async #removeLetGo(): Promise<number> {
    const { dir, log, folds, checkpoints } = this.#deps;
    if (folds.pruned === undefined) return 0;
    const folder = join(dir, 'segments');
    const names = (await readdir(folder)).filter((name) => {
      const first = segmentFile.exec(name)?.[1];
      return first !== undefined && Number(first) < log.first;
    });
    if (names.length === 0) return 0;
    await checkpoints.sign(folds.pruned.seq + 1);
    for (const name of names.toSorted()) {
      await rm(join(folder, name));
      await syncFolder(folder);
    }
    return names.length;
  }

  /** Neither a clock set forward nor one set back makes anything look older than it is. */
  #now(): number {
    const { clock } = this.#deps;
    const steady = this.#began.now + Math.floor((clock.mono() - this.#began.mono) / 1_000);
    return Math.min(clock.now(), steady);
  }
}

type Tips = Map<string, { records: number; last: string }>;
type Tree = { size: number; root: string };
type Terms = { tree: Tree; keepDays: number; actor: Actor | undefined };

/** Of the runs that were let go, those that have more behind the cut, also on its way to the disk. */
function spansOf(log: Pick<Log, 'runTip'>, tips: Tips): RecordData<'log.pruned'>['spans'] {
  return [...tips].flatMap(([run, { records, last }]) => {
    const tip = log.runTip(run);
    return tip === undefined || tip.records <= records
      ? []
      : [{ run, records, last, closed: tip.closed }];
  });
}

function named({ first_seq, records, bytes, sha256, last }: SegmentFacts) {
  return { first_seq, records, bytes, sha256, last };
}

function answerOf(
  { dryRun }: LogPruneRequest,
  keepDays: number,
  { to, segments, stop }: Omit<PrunePlan, 'stop'> & Partial<PrunePlan>,
): LogPruneAnswer {
  return {
    dryRun,
    keepDays,
    from: segments[0]?.first_seq ?? to,
    to,
    segments: segments.length,
    bytes: segments.reduce((sum, { bytes }) => sum + bytes, 0),
    ...(stop === undefined ? {} : { stop }),
  };
}

function add(before: LogPruneAnswer, { to, segments, stop }: PrunePlan): LogPruneAnswer {
  return {
    ...before,
    to,
    segments: before.segments + segments.length,
    bytes: segments.reduce((sum, { bytes }) => sum + bytes, before.bytes),
    ...(stop === undefined ? {} : { stop }),
  };
}
