import { isUtf8 } from 'node:buffer';
import { OrchestraError } from '#contract/errors.ts';
import { FrameReader } from '#contract/output-frames.ts';
import { OutputChunk } from '#contract/output.ts';
import type { Client } from '../client/client.ts';
import { resumedOutput, type Pieces } from './resumed-output.ts';

export type TaskBytes = { bytes: Uint8Array; stream: 'out' | 'err' };
type Options = { follow?: boolean; signal?: AbortSignal };

const another = '[orchestra: another attempt wrote something else; from its beginning:]\n';

/** The exact bytes that a task wrote, in order; followed, over restarts of the daemon as well. */
export function taskOutput(
  client: Client,
  run: string,
  task: string,
  options: Options = {},
): AsyncGenerator<TaskBytes> {
  const open = () => outputOnce(client, run, task, options);
  if (options.follow !== true) return open();
  const pieces: Pieces<TaskBytes> = {
    bytesOf: (piece) => piece,
    without: ({ bytes, stream }, known) => ({ bytes: bytes.subarray(known), stream }),
    another: { bytes: Buffer.from(another), stream: 'out' },
  };
  return resumedOutput(open, pieces, { signal: options.signal });
}

/** The same as the daemon cut it into chunks, for whoever passes those on. */
export function taskChunks(
  client: Client,
  run: string,
  task: string,
  options: Options = {},
): AsyncGenerator<OutputChunk> {
  const open = () => chunksOnce(client, run, task, options);
  if (options.follow !== true) return open();
  const pieces: Pieces<OutputChunk> = {
    bytesOf,
    without: (chunk, known) => ({
      t: chunk.t,
      s: chunk.s,
      ...spelled(bytesOf(chunk).bytes.subarray(known)),
    }),
    another: { t: 0, s: 0, d: another },
  };
  return resumedOutput(open, pieces, { signal: options.signal });
}

async function* outputOnce(
  client: Client,
  run: string,
  task: string,
  options: Options,
): AsyncGenerator<TaskBytes> {
  const answer = await client.also('taskLog', asked(run, task, options));
  if ('objects' in answer) {
    for await (const value of answer.objects) yield bytesOf(chunkOf(value));
    return;
  }
  const frames = new FrameReader();
  for await (const block of answer.blocks) {
    for (const { s, bytes } of frames.push(block)) yield { bytes, stream: s === 2 ? 'err' : 'out' };
  }
}

async function* chunksOnce(
  client: Client,
  run: string,
  task: string,
  options: Options,
): AsyncGenerator<OutputChunk> {
  for await (const value of client.objects('taskLog', asked(run, task, options))) {
    yield chunkOf(value);
  }
}

function asked(run: string, task: string, { follow, signal }: Options) {
  return {
    params: { id: run, task },
    query: { follow: follow === true ? true : undefined },
    signal,
  };
}

function chunkOf(value: unknown): OutputChunk {
  const parsed = OutputChunk.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new OrchestraError('internal.bug', 'The daemon sent output that is no output chunk');
}

function bytesOf({ s, d, b }: OutputChunk): TaskBytes {
  const bytes = b === undefined ? Buffer.from(d ?? '') : Buffer.from(b, 'base64');
  return { bytes, stream: s === 2 ? 'err' : 'out' };
}

function spelled(bytes: Uint8Array): { d: string } | { b: string } {
  const buffer = Buffer.from(bytes);
  return isUtf8(buffer) ? { d: buffer.toString('utf8') } : { b: buffer.toString('base64') };
}
