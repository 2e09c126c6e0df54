import type { Digest } from '#contract/ids.ts';
import type { AnyRecord } from '#contract/records.ts';
import type { Workspace } from '../../workspace/open.ts';
import { type ActionFacts, actionOf } from './action.ts';
import { ActionCache, type Cached } from './actions.ts';
import { Flights } from './flights.ts';
import { lookUp } from './reuse.ts';

/**
 * The answer for a task that is about to run. Until it is disposed nobody else runs an equal one, so
 * dispose it when the attempt's last record is durable; earlier where the task has to stand still.
 */
export type Asked = Disposable & {
  /** For the record that the task begins. */
  action: Digest;
  /** What counts for it, where it need not run. */
  hit: Cached | undefined;
  /** An earlier result that would have counted, and why it does not. */
  broken: string | undefined;
};

type Deps = { workspace: Pick<Workspace, 'layers' | 'blobs' | 'intact'> };

const factsBytesMax = 8 * 1024 * 1024;

/** What is known of tasks that were done already. Folds the log from its beginning on. */
export class TaskCache {
  readonly actions = new ActionCache();
  readonly #flights = new Flights();
  readonly #deps: Deps;

  constructor(deps: Deps) {
    this.#deps = deps;
  }

  fold(record: AnyRecord): void {
    this.actions.fold(record);
  }

  /**
   * With `mayReuse` waits for whoever does the same just now, and answers what they left. Without it
   * the task runs, whatever ran before; what it leaves counts for later ones all the same.
   */
  async ask(
    facts: ActionFacts,
    { mayReuse, signal }: { mayReuse: boolean; signal: AbortSignal },
  ): Promise<Asked> {
    const { action, bytes } = actionOf(facts);
    const flight = mayReuse ? await this.#flights.enter(action, signal) : undefined;
    try {
      const look = mayReuse
        ? await lookUp({ actions: this.actions, ...this.#deps }, action, signal)
        : { hit: undefined };
      if (look.hit === undefined) this.#keep(bytes);
      const broken = 'broken' in look ? look.broken : undefined;
      return { action, hit: look.hit, broken, [Symbol.dispose]: () => flight?.release() };
    } catch (error) {
      flight?.release();
      throw error;
    }
  }

  /** Only to explain later what changed: a task does not wait for it, or fail with it. */
  #keep(bytes: Buffer): void {
    const options = { maxBytes: factsBytesMax, isRemade: true };
    this.#deps.workspace.blobs.put(bytes, options).catch(() => undefined);
  }
}
