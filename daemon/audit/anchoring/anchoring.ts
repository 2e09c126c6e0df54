import type { Logger } from 'pino';
import type { AnchoringView } from '#contract/anchoring.ts';
import { OrchestraError } from '#contract/errors.ts';
import type { Actor } from '#contract/records.ts';
import type { Clock } from '../../base/clock.ts';
import { within } from '../../base/deadline.ts';
import type { Checkpoints } from '../tree/types.ts';
import type { Log } from '../types.ts';
import { HookAnchor } from './hook.ts';
import type { AnchorLedger } from './ledger.ts';
import type { AnchoringSettings } from './settings.ts';
import { Target, type TargetParts } from './target.ts';
import { WitnessClient } from './witness.ts';

export type AnchoringParts = {
  log: Log;
  checkpoints: Checkpoints;
  ledger: AnchorLedger;
  settings: AnchoringSettings;
  clock: Pick<Clock, 'now'>;
  logger: Pick<Logger, 'warn'>;
  /** The home directory of hooks. */
  home: string;
  pauses?: TargetParts['pauses'];
};

const lookMs = 1_000;
const graceMs = 1_000;

/**
 * Gives checkpoints to the hooks and witnesses that the configuration names, and says how much of
 * the log nobody else holds. Nothing in the daemon waits for any of them.
 */
export class Anchoring {
  readonly #parts: AnchoringParts;
  readonly #targets: readonly Target[];
  #timer: NodeJS.Timeout | undefined;
  #stopListening: (() => void) | undefined;

  constructor(parts: AnchoringParts) {
    const { log, checkpoints, settings, ledger, logger, home, pauses } = parts;
    this.#parts = parts;
    const deliveries = [
      ...settings.hooks.map((hook) => new HookAnchor(hook, { log, home })),
      ...settings.witnesses.map((witness) => {
        const knownSize = () => ledger.held('witness', witness.name).size;
        return new WitnessClient(witness, { log, checkpoints, knownSize });
      }),
    ];
    const newest = () => checkpoints.newest;
    const shared = { newest, ledger, logger, ...(pauses === undefined ? {} : { pauses }) };
    this.#targets = deliveries.map((delivery) => new Target(delivery, shared));
  }

  get ledger(): AnchorLedger {
    return this.#parts.ledger;
  }

  /** From now on each new checkpoint goes out; the newest one too, where it did not yet. */
  start(): void {
    if (this.#targets.length === 0) return;
    const poke = () => this.#targets.forEach((target) => target.poke());
    this.#stopListening = this.#parts.checkpoints.onSigned(poke);
    this.#timer = setInterval(() => void this.look(), lookMs).unref();
    poke();
  }

  /** Puts on record, once, that too much is held by this machine alone. */
  async look(): Promise<void> {
    const { ledger, log, logger, settings } = this.#parts;
    if (settings.limit === undefined || ledger.isWarned || !this.#isPassed()) return;
    const { records, ageMs } = this.#unanchored();
    const { action } = settings.limit;
    await log
      .append({
        type: 'log.unanchored',
        sev: 'alert',
        data: { action, anchored: ledger.anchored, records, age_ms: ageMs },
      })
      .catch((error: unknown) => logger.warn({ err: error }, 'the gap is not on record'));
  }

  /** Throws `audit.unanchored` where the configuration wants no more runs before others know. */
  assertAnchored(): void {
    if (this.#parts.settings.limit?.action !== 'block' || !this.#isPassed()) return;
    const { records } = this.#unanchored();
    throw new OrchestraError(
      'audit.unanchored',
      `No run is taken: ${records} records of the log are held by this machine alone`,
      { hint: 'see who does not answer: orchestra audit witnesses; then: orchestra audit anchor' },
    );
  }

  /** Signs what is there and sends it everywhere; what takes longer than `waitMs` goes on. */
  async now(actor: Actor, waitMs: number): Promise<AnchoringView> {
    const { log, checkpoints } = this.#parts;
    await log.append({ type: 'anchor.requested', actor, data: { size: log.size } });
    await checkpoints.sign();
    const all = Promise.all(this.#targets.map((target) => target.now()));
    const late = new Error('late');
    await within(all, waitMs, () => late).catch((error: unknown) => {
      if (error !== late) throw error;
    });
    return this.view();
  }

  view(): AnchoringView {
    const { ledger, settings, checkpoints, log } = this.#parts;
    const { limit, witnesses, quorum } = settings;
    return {
      records: log.size,
      signed: checkpoints.newest?.size ?? 0,
      anchored: ledger.anchored,
      unanchored: this.#unanchored(),
      ...(limit === undefined
        ? {}
        : {
            limit: {
              action: limit.action,
              passed: this.#isPassed(),
              ...(limit.records === undefined ? {} : { records: limit.records }),
              ...(limit.ageMs === undefined ? {} : { ageMs: limit.ageMs }),
            },
          }),
      ...(witnesses.length === 0
        ? {}
        : { quorum: { need: quorum, of: witnesses.length, size: ledger.quorumSize } }),
      ...(checkpoints.witnessKey === undefined ? {} : { witnessKey: checkpoints.witnessKey }),
      targets: this.#targets.map((target) => target.view()),
    };
  }

  /** What is on its way may arrive for a moment; nothing is recorded afterwards. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#stopListening?.();
    await Promise.all(this.#targets.map((target) => target.close(graceMs)));
  }

  #isPassed(): boolean {
    const { limit } = this.#parts.settings;
    const { records, ageMs } = this.#unanchored();
    return records > (limit?.records ?? Infinity) || ageMs > (limit?.ageMs ?? Infinity);
  }

  #unanchored(): { records: number; ageMs: number } {
    return this.#parts.ledger.unanchored(this.#parts.clock.now());
  }
}
