import { OrchestraError } from '#contract/errors.ts';
import { FrameReader } from '#contract/output-frames.ts';
import { OutputChunk } from '#contract/output.ts';
import type { Client } from '../client/client.ts';

export type TaskBytes = { bytes: Uint8Array; stream: 'out' | 'err' };
type Options = { follow?: boolean; signal?: AbortSignal };

/** The exact bytes that a task wrote, in order. */
export async function* taskOutput(
  client: Client,
  run: string,
  task: string,
  options: Options = {},
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

/** The same as the daemon cut it into chunks, for whoever passes those on. */
export async function* taskChunks(
  client: Client,
  run: string,
  task: string,
  options: Options = {},
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
