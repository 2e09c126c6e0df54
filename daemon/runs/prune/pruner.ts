import type { Logger } from 'pino';
import { OrchestraError } from '#contract/errors.ts';
import type { Digest, RunId } from '#contract/ids.ts';
import type { PruneAnswer, PruneReason, PruneStore } from '#contract/prune.ts';
import type { Actor, RecordData } from '#contract/records.ts';
import { graceMs } from '../../artifacts/freshen.ts';
import type { AnyEntry, Log } from '../../audit/types.ts';
import type { Clock } from '../../base/clock.ts';
import { newRequestId } from '../../base/ids.ts';
import { cutText } from '../../base/text.ts';
import { markBytes, type Mark } from '../../workspace/free-space.ts';
import type { PrunedPart, RunRoots } from '../../workspace/prune/request.ts';
import type { Store, StoreWork } from '../../workspace/prune/store.ts';
import { DigestBag } from './digest-bag.ts';
import { dayMs, endOf, heldRuns, keptByRule, type KeepRule, type PrunableRun } from './keep.ts';
import type { PrunedRuns } from './pruned-runs.ts';
import { readRoots } from './roots.ts';

export type PruneSettings = KeepRule & {
  /** What the store may take on the disk; as much as there is if left out. */
  budget?: Mark | undefined;
};

export type PrunerDeps = {
  log: Pick<Log, 'read' | 'append' | 'appendAll' | 'blocked' | 'size'>;
  states: { all(): readonly PrunableRun[] };
  pruned: PrunedRuns;
  store: Store;
  clock: Clock;
  logger: Pick<Logger, 'warn'>;
  settings: PruneSettings;
  /** What was said of a run after its last record: blobs that go with it. */
  alsoOf?: (run: string) => Digest | undefined;
};

type Asked = {
  rule: KeepRule;
  dryRun: boolean;
  grace: number;
  actor?: Actor | undefined;
  signal: AbortSignal;
};
type Dropped = { id: RunId; why: PruneReason; usedAt: number };
type Found = { work: StoreWork; budget: number | undefined; dropped: Dropped[] };

const waitingMax = 8;
const namedMax = 1_000;
const batchMax = 500;
/** Everybody who comes is refused while the disk is full, and each would have all of it read. */
const roomEveryUs = 60_000_000;

/**
 * Removes what no kept run needs: decides which runs are kept, says so in the log, and only then
 * has it removed. The log itself is never touched. One prune at a time; others wait for it.
 */
export class Pruner {
  readonly #deps: PrunerDeps;
  readonly #listeners: ((runs: readonly RunId[]) => void)[] = [];
  readonly #ending = new AbortController();
  readonly #began: { now: number; mono: number };
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  #tidied = '';
  #settled = '';
  #room: { at: number; made: Promise<void> } = { at: -Infinity, made: Promise.resolve() };

  constructor(deps: PrunerDeps) {
    this.#deps = deps;
    this.#began = { now: deps.clock.now(), mono: deps.clock.mono() };
  }

  /** Tells of runs whose content is about to go, when that is on record and nothing has gone yet. */
  onPruned(listener: (runs: readonly RunId[]) => void): void {
    this.#listeners.push(listener);
  }

  /** As somebody asks for it. The room is free when it resolves. */
  async prune(request: PruneStore, actor?: Actor): Promise<PruneAnswer> {
    const { dryRun, keepDays, keepRuns } = request;
    const isSaid = keepDays !== undefined || keepRuns !== undefined;
    const rule = isSaid
      ? { keepDays: keepDays ?? 0, keepRuns: keepRuns ?? 0 }
      : this.#deps.settings;
    const signal = this.#ending.signal;
    const answer = await this.#next({ rule, dryRun, grace: graceMs.least, actor, signal });
    if (!dryRun) await this.#deps.store.emptied();
    return answer;
  }

  /**
   * By the settings, when nobody waits for room. Aborted, it goes on where it was the next time.
   * Nothing is looked at where the last two times found the same and nothing has happened since.
   */
  async tidy(signal: AbortSignal): Promise<PruneAnswer | undefined> {
    const before = this.#moment();
    if (before === this.#settled) return undefined;
    const answer = await this.#next({
      rule: this.#deps.settings,
      dryRun: false,
      grace: graceMs.usual,
      signal: AbortSignal.any([signal, this.#ending.signal]),
    });
    const after = this.#moment();
    // The first time, what had just been used was left where it is.
    this.#settled = before === this.#tidied && before === after ? after : '';
    this.#tidied = after;
    return answer;
  }

  /** Changes with every record, and when a run comes of age. */
  #moment(): string {
    const { log, states, settings } = this.#deps;
    const kept = keptByRule(states.all(), settings, { now: this.#now(), usedAt: endOf });
    return `${log.size} ${kept.size}`;
  }

  /**
   * By the settings, because somebody is about to be refused for want of room. What could not be
   * done is no reason to refuse anybody; whether there is room is.
   */
  async makeRoom(): Promise<void> {
    const { settings: rule, store, clock, logger } = this.#deps;
    const now = clock.mono();
    if (now - this.#room.at >= roomEveryUs) {
      const { signal } = this.#ending;
      const made = this.#next({ rule, dryRun: false, grace: graceMs.least, signal }).then(
        () => undefined,
        (error: unknown) => logger.warn({ err: error }, 'the store could not be pruned'),
      );
      this.#room = { at: now, made };
    }
    await this.#room.made;
    await store.emptied();
  }

  async close(): Promise<void> {
    this.#ending.abort(new OrchestraError('daemon.stopping', 'The daemon is stopping'));
    await this.#last.catch(() => undefined);
  }

  async #next(asked: Asked): Promise<PruneAnswer> {
    if (this.#waiting >= waitingMax) {
      throw new OrchestraError('daemon.busy', 'Others are pruning already');
    }
    this.#waiting += 1;
    const turn = this.#last.then(
      () => this.#prune(asked),
      () => this.#prune(asked),
    );
    this.#last = turn;
    try {
      return await turn;
    } finally {
      this.#waiting -= 1;
    }
  }

  async #prune(asked: Asked): Promise<PruneAnswer> {
    asked.signal.throwIfAborted();
    const found = await this.#find(asked);
    const parts = await this.#deps.store.look(found.work, asked.signal);
    const isNothing = parts.length === 0 && found.dropped.length === 0;
    if (asked.dryRun || isNothing) return answerOf(asked, found, parts);
    return answerOf(asked, found, await this.#remove(asked, found, parts));
  }

  async #find({ rule, grace, signal }: Asked): Promise<Found> {
    const { log, states, pruned, settings, store, alsoOf } = this.#deps;
    const now = this.#now();
    const runs = states.all().filter(({ id }) => pruned.find(id) === undefined);
    const held = heldRuns(runs);
    const early = keptByRule(runs, rule, { now, usedAt: endOf });
    const isEarly = ({ id }: PrunableRun) => held.has(id) || early.has(id);
    const roots = await readRoots(log, runs.filter(isEarly), signal);
    // What the records of those tell of the use of others may keep these as well.
    const usedAt = (run: PrunableRun) => Math.max(endOf(run), roots.usedAt.get(run.id) ?? 0);
    const byUse = keptByRule(runs, { ...rule, keepRuns: 0 }, { now, usedAt });
    const late = runs.filter((run) => byUse.has(run.id) && !isEarly(run));
    for (const [id, each] of (await readRoots(log, late, signal)).of) roots.of.set(id, each);
    const kept = runs.filter(({ id }) => roots.of.has(id)).toSorted((a, b) => rank(b) - rank(a));
    function rank(run: PrunableRun): number {
      return held.has(run.id) ? Infinity : usedAt(run);
    }
    const wanted = kept.flatMap(({ id }): RunRoots[] => {
      const own = roots.of.get(id);
      return own === undefined ? [] : [withAlso(own, alsoOf?.(id))];
    });
    const budget = settings.budget && markBytes(settings.budget, await store.space.read());
    const fits =
      budget === undefined ? wanted.length : fitting(await store.weigh(wanted, signal), budget);
    const staying = new Set(
      wanted.filter(({ run }, at) => at < fits || held.has(run)).map(({ run }) => run),
    );
    const dropped = runs
      .filter(({ id }) => !staying.has(id))
      .map((run): Dropped => ({
        id: run.id,
        why: roots.of.has(run.id) ? 'budget' : 'rule',
        usedAt: usedAt(run),
      }));
    const open = runs.filter((run) => run.closedAt === undefined);
    return {
      budget,
      dropped,
      work: {
        runs: wanted.filter(({ run }) => staying.has(run)),
        now,
        graceMs: grace,
        openSince: Math.min(now, ...open.map((run) => Date.parse(run.submittedAt))),
        packagesSince: now - settings.keepDays * dayMs,
      },
    };
  }

  /** First on record, then told to whoever remembers such runs, then done. */
  async #remove(asked: Asked, found: Found, planned: PrunedPart[]): Promise<PrunedPart[]> {
    const { log, store } = this.#deps;
    const { actor, rule, signal } = asked;
    const data: RecordData<'store.prune'> = {
      keep_days: rule.keepDays,
      keep_runs: rule.keepRuns,
      ...(found.budget === undefined ? {} : { budget_bytes: found.budget }),
      kept: found.work.runs.length,
      dropped: found.dropped.length,
      parts: planned,
    };
    const entry = { type: 'store.prune', req: newRequestId(), actor } as const;
    await log.append({ ...entry, stage: 'intent', data });
    try {
      const runs = found.dropped.map((run) => prunedEntry(run, actor));
      for (let at = 0; at < runs.length; at += batchMax) {
        await log.appendAll(runs.slice(at, at + batchMax));
      }
      for (const listener of this.#listeners) listener(found.dropped.map(({ id }) => id));
      const parts = await store.prune(found.work, signal);
      await log.append({ ...entry, stage: 'result', data: { ...data, parts } });
      return parts;
    } catch (error) {
      if (log.blocked) throw error;
      await log.append({
        ...entry,
        stage: 'result',
        outcome: 'failed',
        data: { ...data, parts: [], reason: cutText(reasonOf(error, signal), 512) },
      });
      throw error;
    }
  }

  /** Neither a clock set forward nor one set back makes anything look older than it is. */
  #now(): number {
    const { clock } = this.#deps;
    const steady = this.#began.now + Math.floor((clock.mono() - this.#began.mono) / 1_000);
    return Math.min(clock.now(), steady);
  }
}

function withAlso(roots: RunRoots, also: Digest | undefined): RunRoots {
  if (also === undefined) return roots;
  const bag = new DigestBag();
  bag.add(also);
  return { ...roots, digests: Buffer.concat([roots.digests, bag.bytes]) };
}

function reasonOf(error: unknown, { aborted }: AbortSignal): string {
  if (aborted) return 'it was stopped half-way and goes on another time';
  return error instanceof OrchestraError ? `${error.code}: ${error.message}` : 'failed';
}

function prunedEntry({ id, why, usedAt }: Dropped, actor: Actor | undefined): AnyEntry {
  const data = { why, used_at: new Date(usedAt).toISOString() };
  return { type: 'run.pruned', obj: { run: id }, actor, data };
}

/** How many of them, from the first on, have room together. */
function fitting(weights: readonly number[], budget: number): number {
  let bytes = 0;
  const at = weights.findIndex((weight) => (bytes += weight) > budget);
  return at < 0 ? weights.length : at;
}

function answerOf({ dryRun }: Asked, { work, dropped }: Found, parts: PrunedPart[]): PruneAnswer {
  return {
    dryRun,
    kept: work.runs.length,
    dropped: dropped.length,
    runs: dropped.slice(0, namedMax).map(({ id, why }) => ({ id, why })),
    removed: parts,
    bytes: parts.reduce((sum, part) => sum + part.bytes, 0),
  };
}
