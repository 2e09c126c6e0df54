import type { Envelope } from './envelope.ts';

/** An idle log says so every hour; twice that, and some time to write it. */
const silenceMicrosMax = (2 * 60 + 5) * 60 * 1_000_000;
/** What a daemon writes first when it starts: before these it may have been off. */
const startTypes = new Set([
  'daemon.started',
  'daemon.crashed',
  'log.recovered',
  'log.loss.acknowledged',
  'log.segment.opened',
  'log.segment.closed',
  'clock.jump',
]);

/** Looks for times in which a log that tells of its idle hours told nothing. */
export class HeartbeatWatch {
  /** The first such time; `seq` is the record that ended it. */
  gap: { seq: number; detail: string } | undefined;
  #before: Pick<Envelope, 'boot' | 'mono' | 'type' | 'seq'> | undefined;
  /** Logs of earlier versions had no heartbeats. */
  #isKept = false;

  see({ type, boot, mono, seq }: Envelope): void {
    const before = this.#before;
    this.#before = { type, boot, mono, seq };
    if (type === 'key.created' || type === 'key.rotated' || type === 'log.heartbeat') {
      this.#isKept = true;
      if (type === 'key.created') return;
    }
    if (!this.#isKept || this.gap !== undefined || before === undefined) return;
    if (before.boot !== boot || before.type === 'daemon.stopped' || startTypes.has(type)) return;
    const silence = mono - before.mono;
    if (silence <= silenceMicrosMax) return;
    const hours = Math.floor(silence / 3_600_000_000);
    this.gap = { seq, detail: `nothing was said for ${hours} hours before this record` };
  }
}
