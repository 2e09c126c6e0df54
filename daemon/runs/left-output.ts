import { createReadStream } from 'node:fs';
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { RecordData } from '#contract/records.ts';
import type { RunsDeps } from './deps.ts';

type Kept = Pick<RecordData<'task.finished'>, 'output' | 'output_bytes'>;

/** Where the output of an attempt is written while it runs. */
export function outputPath(stateDir: string, run: string, task: string): string {
  return join(stateDir, 'output', run, `${task.replaceAll(':', '.')}.out`);
}

/**
 * Keeps what a task had written when nobody was left to end it: often the only trace of why. Its
 * last piece may be torn, which readers take as the end. Never rejects: a disk that cannot keep it
 * must not keep the task from being closed.
 */
export async function keepLeftOutput(
  deps: Pick<RunsDeps, 'stateDir' | 'blobs'>,
  run: string,
  task: string,
): Promise<Kept> {
  const path = outputPath(deps.stateDir, run, task);
  try {
    const { size } = await stat(path);
    if (size === 0) return { output_bytes: 0 };
    const { digest, bytes } = await deps.blobs.put(createReadStream(path), { maxBytes: size });
    return { output: digest, output_bytes: bytes };
  } catch {
    return { output_bytes: 0 };
  }
}

/** Once every run is closed nothing in there belongs to anybody. */
export async function clearOutput(stateDir: string): Promise<void> {
  await rm(join(stateDir, 'output'), { recursive: true, force: true });
}
