import type { SignedCheckpoint } from '#verifier/tlog/checkpoint.ts';
import { spellNote } from '#verifier/tlog/note.ts';
import { cutText } from '../../base/text.ts';
import type { Log } from '../types.ts';
import type { Delivered, Delivery, Undelivered } from './delivery.ts';
import { runHook } from './run-hook.ts';
import type { AnchoringSettings } from './settings.ts';

type Settings = AnchoringSettings['hooks'][number];

/** A program of the operator's that takes the checkpoint somewhere else. */
export class HookAnchor implements Delivery {
  readonly kind = 'anchor';
  readonly name: string;
  readonly everyMs: number;
  readonly #settings: Settings;
  readonly #log: Log;
  readonly #home: string;

  constructor(settings: Settings, { log, home }: { log: Log; home: string }) {
    this.name = settings.name;
    this.everyMs = settings.everyMs;
    this.#settings = settings;
    this.#log = log;
    this.#home = home;
  }

  async deliver({ size, origin, note }: SignedCheckpoint, signal: AbortSignal): Promise<Delivered> {
    const { command, timeoutMs, name } = this.#settings;
    const began = performance.now();
    const end = await runHook({
      command,
      timeoutMs,
      signal,
      input: spellNote(note),
      env: {
        PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
        HOME: this.#home,
        LC_ALL: 'C.UTF-8',
        TZ: 'UTC',
        ORCHESTRA_ANCHOR: name,
        ORCHESTRA_ORIGIN: origin,
        ORCHESTRA_SIZE: String(size),
      },
    });
    if (!end.ok) return end;
    const duration = Math.round(performance.now() - began);
    await this.#log.append({
      type: 'anchor.sent',
      data: { anchor: name, size, duration_ms: duration },
    });
    return { ok: true };
  }

  async recordFailure(
    { reason, detail }: Undelivered,
    size: number,
    failures: number,
  ): Promise<void> {
    await this.#log.append({
      type: 'anchor.failed',
      outcome: 'failed',
      sev: 'warn',
      data: { anchor: this.name, size, reason, failures, detail: cutText(detail, 512) },
    });
  }
}
