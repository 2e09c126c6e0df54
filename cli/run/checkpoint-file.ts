import { setTimeout as sleep } from 'node:timers/promises';
import type { LogRecord } from '#contract/records.ts';
import type { Client } from '../client/client.ts';
import { makeRunFolder, writeCheckpoint, type FolderPlace } from './write-folder.ts';

const pauseMs = 500;
// The checkpoint of a big run is big: it is written a fifth of the time at most.
const pauseFactor = 4;
const answerMs = 10_000;

/**
 * Keeps `<base>/<run>/checkpoint.json` as new as the daemon's while the run goes on, so that it can
 * be continued from there whatever happens to this command or to the daemon. Never more than one
 * write at a time; checkpoints that come meanwhile make one more.
 */
export class CheckpointFile {
  readonly #client: Client;
  readonly #id: string;
  readonly #place: FolderPlace;
  readonly #stopped = new AbortController();
  #folder: string | undefined;
  #wanted = false;
  #busy: Promise<void> | undefined;
  #trouble: unknown;

  constructor(client: Client, id: string, place: FolderPlace) {
    this.#client = client;
    this.#id = id;
    this.#place = place;
  }

  see(record: LogRecord): void {
    if (record.type !== 'checkpoint.saved' || this.#stopped.signal.aborted) return;
    this.#wanted = true;
    this.#busy ??= this.#work();
  }

  /** Writes what is due and nothing after it. Answers why the last one was not written, if it was not. */
  async settled(): Promise<unknown> {
    this.#stopped.abort();
    await this.#busy;
    return this.#trouble;
  }

  async #work(): Promise<void> {
    while (this.#wanted) {
      this.#wanted = false;
      const startedAt = performance.now();
      try {
        this.#folder ??= await makeRunFolder(this.#id, this.#place);
        await writeCheckpoint(this.#client, this.#id, this.#folder, answerMs);
        this.#trouble = undefined;
      } catch (error) {
        // The next checkpoint tries again; nobody's run stops for a file.
        this.#trouble = error;
      }
      const took = performance.now() - startedAt;
      const { signal } = this.#stopped;
      await sleep(Math.max(pauseMs, pauseFactor * took), undefined, { signal }).catch(() => {});
    }
    this.#busy = undefined;
  }
}
