import type { OutputPiece } from '../engine/engine.ts';

/** Where the output of a task goes. The next piece is read only once this one is written. */
export interface OutputSink {
  write(stream: 1 | 2, bytes: Uint8Array): Promise<void>;
}

export type Flowed = {
  stdoutBytes: number;
  stderrBytes: number;
  truncated: boolean;
  /** What the sink or the stream failed with. */
  failure?: unknown;
};

type Watch = {
  limitBytes: number;
  onLimit: () => void;
  onFailure: () => void;
  /** Called at the end of the stream, which is the first sign that the task is over. */
  onEnd: () => Promise<void>;
};

/**
 * Carries output into the sink, up to a limit and then a remark that says so. What comes after the
 * limit or a failure is read and dropped, so that the task is never blocked on a full pipe while
 * it is being killed. Never rejects: a failure is part of what it resolves with.
 */
export async function pumpOutput(
  source: AsyncIterable<OutputPiece>,
  sink: OutputSink,
  { limitBytes, onLimit, onFailure, onEnd }: Watch,
): Promise<Flowed> {
  const flowed: Flowed = { stdoutBytes: 0, stderrBytes: 0, truncated: false };
  const fail = (failure: unknown) => {
    flowed.failure ??= failure;
    onFailure();
  };
  const write = async (s: 1 | 2, bytes: Uint8Array) => {
    if (bytes.length === 0) return;
    await sink.write(s, bytes);
    if (s === 1) flowed.stdoutBytes += bytes.length;
    else flowed.stderrBytes += bytes.length;
  };
  const take = async ({ s, bytes }: OutputPiece) => {
    const room = limitBytes - flowed.stdoutBytes - flowed.stderrBytes;
    await write(s, bytes.subarray(0, room));
    if (bytes.length <= room) return;
    flowed.truncated = true;
    // First the end of the task: a slow sink must not give it time to go on.
    onLimit();
    await sink.write(2, Buffer.from(remark(limitBytes)));
  };
  try {
    for await (const piece of source) {
      if (flowed.truncated || flowed.failure !== undefined) continue;
      await take(piece).catch(fail);
    }
  } catch (error) {
    fail(error);
  }
  await onEnd();
  return flowed;
}

function remark(limitBytes: number): string {
  return `\n[orchestra] output limit of ${limitBytes} bytes reached: the rest is dropped and the task is ended\n`;
}
