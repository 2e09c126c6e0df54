import { createReadStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { FrameReader } from '#contract/output-frames.ts';
import { OutputFile } from './output.ts';

export type ContinuedOutput = {
  output: OutputFile;
  /** Bytes of either stream that the earlier daemon kept. */
  kept: { stdoutBytes: number; stderrBytes: number };
};

const remark = Buffer.from('[orchestra: some output may be missing here]\n');

/**
 * The output of a task that an earlier daemon began to write, to be written on. A last piece that
 * was cut off when that daemon died is left out. `isCut`: more may be missing, and it says so.
 */
export async function continueOutput(path: string, isCut: boolean): Promise<ContinuedOutput> {
  const earlier = `${path}.before`;
  const isThere = await rename(path, earlier).then(
    () => true,
    () => false,
  );
  const output = await OutputFile.create(path);
  const kept = { stdoutBytes: 0, stderrBytes: 0 };
  let isSaid = false;
  if (isThere) {
    try {
      const frames = new FrameReader();
      for await (const bytes of createReadStream(earlier)) {
        for (const part of frames.push(bytes as Buffer)) {
          if (part.s === 1) kept.stdoutBytes += part.bytes.length;
          if (part.s === 2) kept.stderrBytes += part.bytes.length;
          isSaid = part.s === 0 && remark.equals(part.bytes);
          await output.write(part.s, part.bytes);
        }
      }
    } catch {
      // What no daemon wrote ends it there.
    }
    await rm(earlier, { force: true });
  }
  // Once for every gap, however many daemons came by it.
  if (isCut && !isSaid) await output.write(0, remark);
  return { output, kept };
}
