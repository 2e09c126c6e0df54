import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { Verdict } from '#verifier/verdict.ts';
import type { VerifyOptions } from '#verifier/verify.ts';

export type VerifyTask = {
  dir: string;
  options: Pick<VerifyOptions, 'upTo' | 'chunkBytes' | 'keys' | 'checkpoints'>;
  /** Behind everything else that this machine has to do. */
  stepsBack: boolean;
};

/** What the verifier says of a log, worked out beside the daemon's own loop. */
export async function verifyInThread(
  { dir, options, stepsBack }: VerifyTask,
  signal?: AbortSignal,
): Promise<Verdict> {
  signal?.throwIfAborted();
  const url = new URL('./verify-thread.ts', import.meta.url);
  const task: VerifyTask = { dir, options: { chunkBytes: chunkBytesMax, ...options }, stepsBack };
  const worker = new Worker(url, { workerData: task });
  worker.unref();
  const ended = new AbortController();
  try {
    const signals = signal === undefined ? ended.signal : AbortSignal.any([signal, ended.signal]);
    const left = once(worker, 'exit', { signal: signals }).then(() => {
      throw new Error('the thread that verifies the log ended without a verdict');
    });
    left.catch(() => {});
    const said = once(worker, 'message', { signal: signals });
    const [verdict] = (await Promise.race([said, left])) as [Verdict];
    return verdict;
  } finally {
    ended.abort();
    await worker.terminate();
  }
}

/** Memory stays flat, and small beside what a daemon has. */
const chunkBytesMax = 1024 * 1024;
