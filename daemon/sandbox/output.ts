import { formatSize } from '#contract/units.ts';
import type { OutputPiece } from '../engine/engine.ts';

/**
 * Where the output of a task goes; stream 0 is for remarks of our own. Answers a promise where the
 * next piece has to wait. The bytes are the sink's only until it answers or the promise is settled.
 */
export interface OutputSink {
  write(stream: 0 | 1 | 2, bytes: Uint8Array): Promise<void> | void;
}

export type Flowed = {
  stdoutBytes: number;
  stderrBytes: number;
  truncated: boolean;
  /** What came after the limit until the task was dead. */
  droppedBytes: number;
  /** What the sink or the stream failed with. */
  failure?: unknown;
};

type Watch = {
  limitBytes: number;
  /** What came before, under an earlier daemon: counted along, for the limit too. */
  kept?: Pick<Flowed, 'stdoutBytes' | 'stderrBytes'> | undefined;
  onLimit: () => void;
  onFailure: () => void;
  /** Called at the end of the stream, which is the first sign that the task is over. */
  onEnd: () => Promise<void>;
};

/**
 * Carries output into the sink, up to a limit and then a remark that says how much was dropped.
 * What comes after the limit or a failure is read and dropped, so that the task is never blocked on
 * a full pipe while it is being killed. Never rejects: a failure is part of what it resolves with.
 */
export async function pumpOutput(
  source: AsyncIterable<OutputPiece>,
  sink: OutputSink,
  { limitBytes, kept = { stdoutBytes: 0, stderrBytes: 0 }, onLimit, onFailure, onEnd }: Watch,
): Promise<Flowed> {
  const flowed: Flowed = { ...kept, truncated: false, droppedBytes: 0 };
  const fail = (failure: unknown) => {
    flowed.failure ??= failure;
    onFailure();
  };
  const take = async ({ s, bytes }: OutputPiece, room: number) => {
    const taken = bytes.length <= room ? bytes : bytes.subarray(0, room);
    if (bytes.length > room) {
      flowed.truncated = true;
      flowed.droppedBytes += bytes.length - room;
      // First the end of the task: a slow sink must not give it time to go on.
      onLimit();
    }
    if (taken.length === 0) return;
    await sink.write(s, taken);
    if (s === 1) flowed.stdoutBytes += taken.length;
    else flowed.stderrBytes += taken.length;
  };
  try {
    for await (const piece of source) {
      if (flowed.truncated) flowed.droppedBytes += piece.bytes.length;
      else if (flowed.failure === undefined) {
        const room = Math.max(0, limitBytes - flowed.stdoutBytes - flowed.stderrBytes);
        await take(piece, room).catch(fail);
      }
    }
  } catch (error) {
    fail(error);
  }
  await onEnd();
  if (flowed.truncated && flowed.failure === undefined) {
    try {
      await sink.write(0, Buffer.from(remark(limitBytes, flowed.droppedBytes)));
    } catch (error) {
      fail(error);
    }
  }
  return flowed;
}

function remark(limitBytes: number, droppedBytes: number): string {
  return `\n[orchestra] output limit of ${limitBytes} bytes (${formatSize(limitBytes)}) reached: the task was ended and ${droppedBytes} more bytes were dropped\n`;
}
