import type { SnapshotAnswer } from '#contract/snapshot.ts';
import type { Batch } from './batches.ts';
import { Ingest } from './ingest.ts';
import type { Operations } from './operations.ts';
import { failureOf } from './thread-failure.ts';
import { TreeThread } from './tree-thread.ts';
import type { FromWorker } from './worker-pool.ts';

type Upload = {
  ingest: Ingest;
  tree: TreeThread;
  /** How it ends, as far as this thread knows; the other one may still fail. */
  outcome: { answer: SnapshotAnswer } | { cause: unknown } | undefined;
};

/**
 * One upload at a time, in two threads: this one reads and hashes, the other one writes. A batch is
 * taken when it is written, so what waits between them is bounded with what waits for this one.
 */
export class Uploads {
  readonly #say: (message: FromWorker) => void;
  #tree: TreeThread | undefined;
  #upload: Upload | undefined;

  constructor(say: (message: FromWorker) => void) {
    this.#say = say;
  }

  warm(): void {
    if (this.#tree === undefined || this.#tree.isBroken) this.#tree = new TreeThread();
  }

  start({ place, temp }: Operations['ingest']['args']): void {
    try {
      this.warm();
      const tree = this.#tree ?? new TreeThread();
      this.#upload = { ingest: new Ingest(place, temp), tree, outcome: undefined };
      tree.start(place, temp, {
        taken: () => this.#say({ kind: 'taken' }),
        ended: (cause) => this.#conclude(cause),
      });
    } catch (cause) {
      this.#upload?.ingest.abort();
      this.#upload = undefined;
      this.#say(failureOf(cause));
    }
  }

  data(batch: Batch): void {
    this.#read(({ ingest, tree }) => tree.write(ingest.take(batch), batch));
  }

  end(): void {
    this.#read((upload) => {
      upload.tree.end(upload.ingest.close());
      // Meanwhile the tree is written to its end.
      upload.outcome = { answer: upload.ingest.describe() };
    });
  }

  /**
   * What was still on its way when its upload was refused is for nobody. An answer to it would be
   * taken for the answer to the next question, which may be somebody else's.
   */
  #read(act: (upload: Upload) => void): void {
    const upload = this.#upload;
    if (upload === undefined || upload.outcome !== undefined) return;
    try {
      act(upload);
    } catch (cause) {
      upload.outcome = { cause };
      // What was removed while it is written would come back.
      upload.tree.end([]);
    }
  }

  /** Nothing is written any more. What failed there had come before what failed here. */
  #conclude(failed: { cause: unknown } | undefined): void {
    const upload = this.#upload;
    if (upload === undefined) return;
    this.#upload = undefined;
    const outcome = failed ?? upload.outcome ?? { cause: new Error('nobody ended the upload') };
    try {
      if (!('answer' in outcome)) throw outcome.cause;
      upload.ingest.settle(outcome.answer);
      this.#say({ kind: 'done', value: outcome.answer });
    } catch (cause) {
      try {
        upload.ingest.abort();
      } catch {
        // What could not be removed now is swept at the next start; the first error is the one to tell.
      }
      this.#say(failureOf(cause));
    }
  }
}
