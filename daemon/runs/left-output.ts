import { open, readdir, rm, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { RecordData } from '#contract/records.ts';
import type { RunsDeps } from './deps.ts';

const partBytes = 64 * 1024;

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
  try {
    await using file = await open(outputPath(deps.stateDir, run, task), 'r');
    const { size } = await file.stat();
    if (size === 0) return { output_bytes: 0 };
    const { digest, bytes } = await deps.blobs.put(partsOf(file), { maxBytes: size });
    return { output: digest, output_bytes: bytes };
  } catch {
    return { output_bytes: 0 };
  }
}

/** Once the task is over on record, or its next attempt is about to write there anew. */
export async function dropLeftOutput(
  { stateDir }: Pick<RunsDeps, 'stateDir'>,
  run: string,
  task: string,
): Promise<void> {
  // What stays, the next start clears.
  await rm(outputPath(stateDir, run, task), { force: true }).catch(() => {});
}

async function* partsOf(file: FileHandle): AsyncGenerator<Uint8Array> {
  for (;;) {
    const { bytesRead, buffer } = await file.read({ buffer: Buffer.alloc(partBytes) });
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
  }
}

/** What belongs to no open run belongs to nobody. */
export async function clearOutput(stateDir: string, open: readonly string[]): Promise<void> {
  const root = join(stateDir, 'output');
  const names = await readdir(root).catch(() => []);
  for (const name of names) {
    if (!open.includes(name)) await rm(join(root, name), { recursive: true, force: true });
  }
}
