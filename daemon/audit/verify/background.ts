import type { Logger } from 'pino';
import { OrchestraError } from '#contract/errors.ts';
import type { Actor } from '#contract/records.ts';
import type { Verdict } from '#verifier/verdict.ts';
import { cutText } from '../../base/text.ts';
import type { LogIndex } from '../index-db.ts';
import type { Log } from '../types.ts';
import { verifyInThread, type VerifyTask } from './in-thread.ts';

export type BackgroundVerifyDeps = {
  /** The log's folder. */
  dir: string;
  log: Pick<Log, 'append' | 'size' | 'blocked' | 'refuse'>;
  /** When the whole log was verified last, or began. */
  lastAt: number;
  /** The keys that the log is signed with. */
  keys: () => readonly string[];
  now: () => number;
  logger: Pick<Logger, 'warn' | 'error'>;
  verify?: (task: VerifyTask, signal?: AbortSignal) => Promise<Verdict>;
};

const lookMs = 60_000;
const everyMs = 24 * 60 * 60_000;

/**
 * Verifies the whole log once a day, by all the rules, behind everything else; what a start of the
 * daemon reads is only followed by its chain up to the noted head. Each time is on record. A log that
 * is not what was written is on record as an alert and takes no record after that one, so the daemon
 * ends: nothing may go on being recorded in it.
 */
export class BackgroundVerify implements AsyncDisposable {
  readonly #deps: BackgroundVerifyDeps;
  readonly #stop = new AbortController();
  #lastAt: number;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;

  constructor(deps: BackgroundVerifyDeps) {
    this.#deps = deps;
    // A clock that was set back must not put it off for ever.
    this.#lastAt = Math.min(deps.lastAt, deps.now());
  }

  start(): void {
    this.#timer = setInterval(() => void this.look(), lookMs).unref();
  }

  /** Verifies where it is due; resolves when that is over. Never rejects. */
  look(): Promise<void> {
    const { now, log } = this.#deps;
    const isDue = now() - this.#lastAt >= everyMs;
    if (!isDue || log.blocked !== undefined || this.#stop.signal.aborted) {
      return this.#running ?? Promise.resolve();
    }
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { now, logger, log } = this.#deps;
    try {
      let verdict = await this.#verify();
      // Once more before the daemon ends over it: segments may have been pruned while they were read.
      if (verdict.exit === 1 || verdict.exit === 2) verdict = await this.#verify();
      await recordVerified(log, verdict);
      this.#lastAt = now();
      if (verdict.exit === 2) logger.warn({ findings: verdict.findings }, 'log not verified');
      if (verdict.exit === 1) log.refuse(brokenLog(verdict));
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      this.#lastAt = now();
      logger.error({ err: error }, 'the log could not be verified');
    }
  }

  #verify(): Promise<Verdict> {
    const { dir, log, keys, verify = verifyInThread } = this.#deps;
    const options = { upTo: log.size, keys: keys() };
    return verify({ dir, options, stepsBack: true }, this.#stop.signal);
  }
}

/** When the daemon verified the whole log last, or the time of the first record that is there. */
export async function lastVerifiedAt(index: Pick<LogIndex, 'query'>): Promise<number> {
  const own = { type: 'log.verified', actor: 'daemon', order: 'newest', limit: 1 } as const;
  const { lines } = await index.query(own);
  const [line] = lines.length > 0 ? lines : (await index.query({ limit: 1 })).lines;
  return line === undefined ? 0 : Date.parse(line.record.ts);
}

/** What came of it, whoever asked for it. */
export async function recordVerified(
  log: Pick<Log, 'append'>,
  verdict: Verdict,
  actor?: Actor,
): Promise<void> {
  await log.append({
    type: 'log.verified',
    actor,
    outcome: verdict.exit === 1 || verdict.exit === 2 ? 'failed' : 'ok',
    sev: ({ 0: 'info', 1: 'alert', 2: 'warn', 3: 'info' } as const)[verdict.exit],
    data: {
      records: verdict.records,
      verdict: verdict.verdict,
      reason: cutText(verdict.reason ?? verdict.findings[0]?.reason ?? '', 64),
      duration_ms: verdict.durationMs,
    },
  });
}

function brokenLog({ findings }: Verdict): OrchestraError {
  const [first] = findings;
  const where =
    first && `${first.reason} in ${first.file}, byte ${first.offset}, record ${first.seq}`;
  return new OrchestraError(
    'audit.broken',
    `The log is not what was written: ${where ?? 'see the last record'}`,
    { hint: 'orchestra audit verify; keep the files as they are, and restore the log from a copy' },
  );
}
