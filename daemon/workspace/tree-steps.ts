import { closeSync, writeSync } from 'node:fs';
import type { Digest } from '#contract/ids.ts';
import { type ByteString, textOfBytes } from '#contract/path-bytes.ts';
import { OrchestraError } from '#contract/errors.ts';
import type { Batch } from './batches.ts';
import { malformed } from './refusals.ts';
import { linkBlob, type TreeWriter } from './tree-writer.ts';

/**
 * What is to be done to a tree with one batch of an upload. A file's bytes are named by their
 * places in the batch: chunk, first, end, three numbers each. Only the last step of a file has its
 * digest, and only who has hashed all of its bytes says it.
 */
export type Step =
  | { kind: 'dir'; path: ByteString }
  | { kind: 'link'; path: ByteString; target: ByteString }
  | { kind: 'known'; path: ByteString; executable: boolean; digest: Digest; bytes: number }
  | FileStep;
export type FileStep = {
  kind: 'file';
  /** False for a file that an earlier batch began. */
  first: boolean;
  path: ByteString;
  executable: boolean;
  places: number[];
  digest?: Digest;
};

/**
 * Does the steps in their order. A file that is not complete lies in the tree alone; it is linked
 * into the blobs by its last step, so what cannot be trusted yet cannot be found.
 */
export class TreeSteps implements Disposable {
  readonly #writer: TreeWriter;
  #open: number | undefined;

  constructor(writer: TreeWriter) {
    this.#writer = writer;
  }

  do(steps: readonly Step[], batch: Batch): void {
    for (const step of steps) {
      if (step.kind === 'dir') this.#writer.dir(step.path);
      else if (step.kind === 'link') this.#writer.link(step.path, step.target);
      else if (step.kind === 'known') this.#known(step);
      else this.#file(step, batch);
    }
  }

  [Symbol.dispose](): void {
    if (this.#open !== undefined) closeSync(this.#open);
    this.#open = undefined;
  }

  #known({ path, executable, digest, bytes }: Extract<Step, { kind: 'known' }>): void {
    const size = linkBlob(this.#writer, path, digest, executable);
    if (size === undefined) {
      throw new OrchestraError('blob.unknown', 'The upload names content that is not there', {
        places: [{ pointer: textOfBytes(path), message: digest }],
        hint: 'send the content',
      });
    }
    if (size !== bytes) throw malformed('a size does not fit its digest', textOfBytes(path));
  }

  #file({ first, path, executable, places, digest }: FileStep, batch: Batch): void {
    // Content that is there already is linked without being written.
    if (first && digest !== undefined && this.#writer.linkExact(path, digest, executable)) return;
    if (first) this.#open = this.#writer.create(path, executable);
    const fd = this.#open;
    if (fd === undefined) throw new TypeError('no file was begun');
    for (let i = 0; i < places.length; i += 3) {
      const chunk = batch[places[i] ?? -1];
      if (chunk === undefined) throw new TypeError('a chunk is missing');
      writeAll(fd, chunk.subarray(places[i + 1], places[i + 2]));
    }
    if (digest === undefined) return;
    this.#writer.settle(fd);
    this[Symbol.dispose]();
    this.#writer.adopt(path, digest, executable);
  }
}

function writeAll(fd: number, content: Uint8Array): void {
  for (let at = 0; at < content.byteLength;) at += writeSync(fd, content, at);
}
