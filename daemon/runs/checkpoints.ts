import type { AnyEntry } from '../audit/types.ts';
import { canonicalJson } from '../base/canonical.ts';
import { checkpointOf } from './checkpoint.ts';
import type { RunsDeps } from './deps.ts';
import type { AcceptedRun } from './open-run.ts';
import { failpoint } from '../base/failpoints.ts';

const bytesMax = 16 * 1024 * 1024;
const everyUs = 1_000_000;

/**
 * Where a run stands, for whoever goes on with it elsewhere: at its end always, and once a second
 * while tasks end. Nothing waits for one in between, because the log alone can tell the same.
 */
export class Checkpoints {
  readonly #deps: RunsDeps;
  readonly #run: AcceptedRun;
  #lastAt: number;
  #saving: Promise<void> = Promise.resolve();

  constructor(deps: RunsDeps, run: AcceptedRun) {
    this.#deps = deps;
    this.#run = run;
    this.#lastAt = deps.clock.mono();
  }

  taskEnded(): void {
    const now = this.#deps.clock.mono();
    if (now - this.#lastAt < everyUs) return;
    this.#lastAt = now;
    this.#saving = this.#saving.then(async () => {
      try {
        await this.#deps.log.appendAll(await this.#save());
      } catch (error) {
        // A log that takes no more stops the run by itself; the next one may find room on the disk.
        this.#deps.logger.warn({ err: error, run: this.#run.id }, 'no checkpoint could be saved');
      }
    });
  }

  /** The last one, to be appended with the record that closes the run. */
  async last(): Promise<AnyEntry[]> {
    await this.#saving;
    return this.#save();
  }

  async #save(): Promise<AnyEntry[]> {
    const { blobs, clock, states } = this.#deps;
    const { id, plan, planDigest, policy } = this.#run;
    const facts = states.find(id);
    if (!facts) return [];
    const at = new Date(clock.now()).toISOString();
    const digests = { plan: planDigest, policy: policy.digest };
    const checkpoint = await this.#deps.signer.sign(checkpointOf(facts, plan, digests, at));
    const bytes = Buffer.from(canonicalJson(checkpoint));
    failpoint('before-checkpoint');
    const { digest } = await blobs.put(bytes, { maxBytes: bytesMax, isRemade: true });
    failpoint('after-checkpoint');
    const data = { checkpoint: digest, bytes: bytes.length };
    return [{ type: 'checkpoint.saved', run: id, data }];
  }
}
