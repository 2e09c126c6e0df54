import { IncomingMessage } from 'node:http';
import { lateUpload, patient } from './patient.ts';

/** Chunks that are nobody else's, to be given away with their memory. */
export type Batch = Uint8Array<ArrayBuffer>[];

const batchBytes = 1 << 20;
const readyMax = 2;

/**
 * An upload in few pieces. A request's chunks are passed on as they are; of any other source the
 * bytes are copied, because nobody knows what it does with its memory. A sender that is silent for
 * `silenceMs` is given up: it holds a thread that others wait for.
 */
export function batches(
  input: AsyncIterable<Uint8Array>,
  silenceMs: number,
): AsyncGenerator<Batch, void> {
  return input instanceof IncomingMessage
    ? received(input, silenceMs)
    : copied(patient(input, silenceMs));
}

/** By events: iterating over a request costs more than what is done with its chunks. */
async function* received(
  incoming: IncomingMessage,
  silenceMs: number,
): AsyncGenerator<Batch, void> {
  const ready: Batch[] = [];
  let batch: Batch = [];
  let bytes = 0;
  let end: { cause?: Error } | undefined;
  let change = Promise.withResolvers<void>();
  const ended = (cause?: Error): void => {
    end ??= cause === undefined ? {} : { cause };
    change.resolve();
  };
  const flush = (): void => {
    ready.push(batch);
    batch = [];
    bytes = 0;
    change.resolve();
  };
  const onData = (chunk: Buffer): void => {
    silence.refresh();
    batch.push(whole(chunk));
    bytes += chunk.byteLength;
    if (bytes < batchBytes) return;
    flush();
    if (ready.length >= readyMax) incoming.pause();
  };
  const onEnd = (): void => {
    if (batch.length > 0) flush();
    ended();
  };
  const onClose = (): void => ended(new Error('the upload was cut off'));
  const silence = setTimeout(() => {
    // It is not silent, it is kept waiting.
    if (incoming.isPaused()) silence.refresh();
    else ended(lateUpload(silenceMs));
  }, silenceMs);
  incoming.on('data', onData).on('end', onEnd).on('error', ended).on('close', onClose);
  try {
    for (;;) {
      const next = ready.shift();
      if (next !== undefined) {
        incoming.resume();
        yield next;
      } else if (end !== undefined) {
        if (end.cause !== undefined) throw end.cause;
        return;
      } else {
        change = Promise.withResolvers();
        await change.promise;
      }
    }
  } finally {
    clearTimeout(silence);
    incoming.off('data', onData).off('end', onEnd).off('close', onClose).off('error', ended);
    // What still comes is of no use, but the answer goes out on the same connection.
    incoming.on('error', () => undefined).resume();
  }
}

/** A small chunk may lie in memory that many share. */
function whole(chunk: Buffer): Uint8Array<ArrayBuffer> {
  return chunk.byteLength === chunk.buffer.byteLength && chunk.buffer instanceof ArrayBuffer
    ? new Uint8Array(chunk.buffer)
    : new Uint8Array(chunk);
}

async function* copied(input: AsyncIterable<Uint8Array>): AsyncGenerator<Batch, void> {
  let block = new Uint8Array(batchBytes);
  let used = 0;
  for await (const chunk of input) {
    for (let at = 0; at < chunk.byteLength;) {
      const part = chunk.subarray(at, at + batchBytes - used);
      block.set(part, used);
      used += part.byteLength;
      at += part.byteLength;
      if (used < batchBytes) continue;
      yield [block];
      block = new Uint8Array(batchBytes);
      used = 0;
    }
  }
  if (used > 0) yield [block.subarray(0, used)];
}
