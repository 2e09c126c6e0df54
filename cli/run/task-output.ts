import { OrchestraError } from '#contract/errors.ts';
import { OutputChunk } from '#contract/output.ts';
import type { Client } from '../client/client.ts';

export type TaskBytes = { bytes: Uint8Array; stream: 'out' | 'err'; chunk: OutputChunk };

/** The exact bytes that a task wrote, in order. */
export async function* taskOutput(
  client: Client,
  run: string,
  task: string,
  options: { follow?: boolean; signal?: AbortSignal } = {},
): AsyncGenerator<TaskBytes> {
  for await (const value of client.objects('taskLog', {
    params: { id: run, task },
    query: { follow: options.follow === true ? true : undefined },
    signal: options.signal,
  })) {
    const parsed = OutputChunk.safeParse(value);
    if (!parsed.success) {
      throw new OrchestraError('internal.bug', 'The daemon sent output that is no output chunk');
    }
    const { d, b, s } = parsed.data;
    const bytes = b === undefined ? Buffer.from(d ?? '') : Buffer.from(b, 'base64');
    yield { bytes, stream: s === 2 ? 'err' : 'out', chunk: parsed.data };
  }
}
