import type { SignedCheckpoint } from '#verifier/tlog/checkpoint.ts';
import { cutText } from '../../base/text.ts';
import type { Checkpoints } from '../tree/types.ts';
import type { Log } from '../types.ts';
import { addCheckpoint } from './add-checkpoint.ts';
import type { Delivered, Delivery, Undelivered } from './delivery.ts';
import type { AnchoringSettings } from './settings.ts';

type Settings = AnchoringSettings['witnesses'][number];
type Parts = {
  log: Log;
  checkpoints: Checkpoints;
  /** What it cosigned last, as far as the log knows. */
  knownSize: () => number;
};

const triesMax = 3;

/** Somebody on another machine who signs what continues what he signed before, and nothing else. */
export class WitnessClient implements Delivery {
  readonly kind = 'witness';
  readonly name: string;
  readonly everyMs: number;
  readonly #settings: Settings;
  readonly #parts: Parts;

  constructor(settings: Settings, parts: Parts) {
    this.name = settings.name;
    this.everyMs = settings.everyMs;
    this.#settings = settings;
    this.#parts = parts;
  }

  async deliver(first: SignedCheckpoint, signal: AbortSignal): Promise<Delivered> {
    const { checkpoints, log, knownSize } = this.#parts;
    const { url, key, timeoutMs, name } = this.#settings;
    const began = performance.now();
    let checkpoint = first;
    let old = Math.min(knownSize(), first.size);
    for (let tries = 0; tries < triesMax; tries += 1) {
      const { size } = checkpoint;
      const proof = old === 0 || old === size ? [] : await checkpoints.tree.consistency(old, size);
      const answer = await addCheckpoint({ url, key, old, proof, checkpoint, timeoutMs, signal });
      if (answer.kind === 'failed') return answer;
      if (answer.kind === 'cosigned') {
        await checkpoints.addSignatures(size, answer.lines);
        await log.append({
          type: 'witness.cosigned',
          data: {
            witness: name,
            size,
            time: answer.time,
            duration_ms: Math.round(performance.now() - began),
          },
        });
        return { ok: true };
      }
      // It has another state than was thought: from there on, once more.
      if (answer.size > size) {
        const newest = checkpoints.newest ?? checkpoint;
        if (answer.size > newest.size) return ahead(answer.size, newest.size);
        checkpoint = newest;
      } else if (answer.size === old) {
        return fail('bad_answer', `it wants a proof from ${old}, and got one`);
      }
      old = answer.size;
    }
    return fail('conflict', `its state changed under ${triesMax} tries`);
  }

  async recordFailure(
    { reason, detail, status = 0, isRefusal = false, isAlarm = false }: Undelivered,
    size: number,
    failures: number,
  ): Promise<void> {
    const data = { witness: this.name, size, status, reason, failures };
    await this.#parts.log.append({
      type: 'witness.refused',
      outcome: isRefusal ? 'denied' : 'failed',
      sev: isAlarm ? 'alert' : 'warn',
      data: { ...data, detail: cutText(detail, 512) },
    });
  }
}

// What a log looks like whose end was cut, or that was put back from an old copy.
function ahead(theirs: number, ours: number): Undelivered {
  const detail = `it cosigned ${theirs} records of this log, which has ${ours} signed`;
  return { ok: false, reason: 'ahead', detail, status: 409, isRefusal: true, isAlarm: true };
}

function fail(reason: string, detail: string): Undelivered {
  return { ok: false, reason, detail, status: 409 };
}
