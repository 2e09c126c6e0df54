import type { LogRecord } from '#contract/records.ts';
import type { RunView } from '#contract/run.ts';
import type { Client } from '../client/client.ts';
import { acrossRestart } from '../client/patience.ts';
import { isOver } from '../run-words.ts';

export type Follower = {
  /** Called with each new picture of the run, at most ten times a second, and with the last one. */
  onView(view: RunView): void;
  onRecord?(record: LogRecord): void;
  /** What there is to say of a daemon that went away and came back. */
  say?(text: string): void;
};

const pauseMs = 100;
const gapWords = {
  lost: 'the daemon went away; the run goes on, and so does this once it is back',
  back: 'the daemon is back',
} as const;

/**
 * Follows a run to its end and answers its last picture. The records say when something changed;
 * the picture is the daemon's own, so that this client folds nothing and cannot fold it wrongly.
 */
export async function followRun(
  client: Client,
  id: string,
  follower: Follower,
  signal?: AbortSignal,
): Promise<RunView> {
  const first = await client.call('runShow', { params: { id }, signal });
  follower.onView(first);
  const pictures = new Pictures(client, first.id, follower, signal);
  for await (const record of client.events('runEvents', {
    params: { id: first.id },
    signal,
    isLast: (each) => each.type === 'run.closed',
    wasThere: true,
    onGap: (gap) => follower.say?.(gapWords[gap]),
  })) {
    follower.onRecord?.(record);
    pictures.request();
  }
  await pictures.settled();
  if (signal?.aborted === true) throw signal.reason;
  return lastPicture(client, first.id, follower);
}

/**
 * One request at a time; the next waits four times as long as the last one took, and at least
 * `pauseMs`: of a big run a picture is much work for the daemon, which has the run to do.
 */
class Pictures {
  readonly #client: Client;
  readonly #id: string;
  readonly #follower: Follower;
  readonly #signal: AbortSignal | undefined;
  #wanted = false;
  #busy: Promise<void> | undefined;
  #stopped = false;
  #wake: (() => void) | undefined;

  constructor(client: Client, id: string, follower: Follower, signal: AbortSignal | undefined) {
    this.#client = client;
    this.#id = id;
    this.#follower = follower;
    this.#signal = signal;
  }

  request(): void {
    this.#wanted = true;
    this.#busy ??= this.#work();
  }

  /** No picture comes after this. */
  async settled(): Promise<void> {
    this.#stopped = true;
    this.#wake?.();
    await this.#busy;
  }

  async #work(): Promise<void> {
    while (this.#wanted && !this.#stopped) {
      this.#wanted = false;
      const startedAt = performance.now();
      try {
        const options = { params: { id: this.#id }, signal: this.#signal };
        this.#follower.onView(await this.#client.call('runShow', options));
      } catch {
        // The next record asks again; the last picture is asked for by itself and may fail aloud.
      }
      await this.#pause(Math.max(pauseMs, 4 * (performance.now() - startedAt)));
    }
    this.#busy = undefined;
  }

  async #pause(ms: number): Promise<void> {
    if (this.#stopped) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    const timer = setTimeout(resolve, ms);
    await promise;
    clearTimeout(timer);
  }
}

async function lastPicture(client: Client, id: string, follower: Follower): Promise<RunView> {
  const view = await acrossRestart(() => client.call('runShow', { params: { id } }));
  follower.onView(view);
  if (!isOver(view.state)) throw new Error(`the run ${id} closed, but its state is ${view.state}`);
  return view;
}
