import { Readable } from 'node:stream';
import { OrchestraError } from '#contract/errors.ts';
import { batches } from '../batches.ts';
import type { WorkerPool } from '../worker-pool.ts';
import type { PackRequest } from './pack.ts';
import type { Unpacked, UnpackRequest } from './unpack.ts';

/** An engine that says nothing for so long is given up: others wait for the thread. */
const silenceMs = 120_000;

/** What an overlay of these directories would show, as a tar stream. Nothing is read ahead of it. */
export async function* packed(
  pool: WorkerPool,
  request: PackRequest,
): AsyncGenerator<Uint8Array, void, undefined> {
  const stop = new AbortController();
  const ready: { bytes: Uint8Array; taken: () => void }[] = [];
  let change = Promise.withResolvers<void>();
  let end: { cause?: unknown } | undefined;
  const output = async (bytes: Uint8Array): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>();
    ready.push({ bytes, taken: resolve });
    change.resolve();
    return promise;
  };
  const ended = (how: { cause?: unknown }): void => {
    end = how;
    change.resolve();
  };
  pool.run('pack', request, { output, signal: stop.signal }).then(
    () => ended({}),
    (cause: unknown) => ended({ cause }),
  );
  try {
    for (;;) {
      const next = ready.shift();
      if (next !== undefined) {
        yield next.bytes;
        next.taken();
      } else if (end === undefined) {
        change = Promise.withResolvers();
        await change.promise;
      } else if ('cause' in end) throw end.cause;
      else return;
    }
  } finally {
    stop.abort();
  }
}

/** Makes the upper directory of a layer of what a task left, which an engine tells as a tar stream. */
export async function unpacked(
  pool: WorkerPool,
  request: UnpackRequest,
  tar: AsyncIterable<Uint8Array>,
  signal?: AbortSignal,
): Promise<Unpacked> {
  try {
    const input = batches(tar, silenceMs);
    return await pool.run('unpack', request, signal ? { input, signal } : { input });
  } catch (cause) {
    if (cause instanceof OrchestraError || signal?.aborted === true) throw cause;
    const { code } = cause as NodeJS.ErrnoException;
    // The disk under us, not the one that sends.
    if (code === 'ENOSPC' || code === 'EDQUOT') throw cause;
    throw new OrchestraError('engine.unavailable', 'What a task left could not be read back', {
      hint: 'orchestra doctor',
      cause,
    });
  } finally {
    // An engine would go on sending for as long as somebody lets it.
    if (tar instanceof Readable) tar.destroy();
  }
}
