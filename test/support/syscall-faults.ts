import { execFile, execFileSync } from 'node:child_process';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { verifyLog } from '#verifier/verify.ts';
import { openSignedLog } from './signed-by-near.ts';

/** A system call of a writer that fails once, the nth time that it concerns a file of the log. */
export type SyscallFault = { syscall: string; error: string; nth: number };
export type Outcome = {
  fault: SyscallFault;
  /** The call was really made and failed. */
  isInjected: boolean;
  acknowledged: number;
  /** How the writer ended: it went on, it stopped by itself, or its log would not open. */
  ended: 'went on' | 'stopped' | 'other';
  complaints: string[];
};

const writer = join(import.meta.dirname, 'faulty-writer.ts');
const run = promisify(execFile);

export const hasStrace = (() => {
  try {
    // It may be there and not be allowed to trace.
    execFileSync('strace', ['-qq', '-o', '/dev/null', 'true'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();

/** Every file that a writer touches when nothing fails, so that faults are aimed at these alone. */
export async function filesOfUndisturbed(dir: string, count: number): Promise<string[]> {
  await mkdir(dir, { recursive: true });
  await run(process.execPath, [writer, dir, String(count)]);
  const names = await readdir(dir, { recursive: true, withFileTypes: true });
  return ['', ...names.map((entry) => join(entry.parentPath, entry.name).slice(dir.length + 1))];
}

/**
 * Runs the writer with one fault, then judges what it left: nothing that was acknowledged is gone,
 * nothing was acknowledged after the log had blocked, and the log opens again and verifies.
 */
export async function tryFault(
  dir: string,
  fault: SyscallFault,
  { files, count }: { files: readonly string[]; count: number },
): Promise<Outcome> {
  await mkdir(dir, { recursive: true });
  const trace = `${dir}.trace`;
  const { syscall, error, nth } = fault;
  const { stdout, code } = await run(
    'strace',
    [
      '-f',
      '-qq',
      ...flag('-o', trace),
      ...flag('-e', `trace=${syscall}`),
      ...flag('-e', `inject=${syscall}:error=${error}:when=${nth}`),
      // Of these a writer makes no others, and a name that a file has for a moment is not in the list.
      ...(byName.has(syscall) ? [] : files.flatMap((file) => flag('-P', join(dir, file)))),
      process.execPath,
      writer,
      dir,
      String(count),
    ],
    // One thread for files: strace counts per thread.
    { env: { ...process.env, UV_THREADPOOL_SIZE: '1' }, timeout: 60_000 },
  ).then(
    (done) => ({ ...done, code: 0 }),
    (failed: { stdout?: string; code?: number }) => ({
      stdout: failed.stdout ?? '',
      code: failed.code ?? -1,
    }),
  );
  const lines = stdout.split('\n').slice(0, -1);
  const acknowledged = new Map(
    lines.flatMap((line) => {
      const [, seq, what] = /^ack (\d+) (.*)$/.exec(line) ?? [];
      return seq === undefined ? [] : [[Number(seq), what ?? ''] as const];
    }),
  );
  const complaints = [
    ...(code === 0 || code === 3 ? [] : [`the writer ended with ${code}`]),
    ...complaintsAboutOrder(lines),
    ...(await complaintsAboutLog(dir, acknowledged)),
  ];
  return {
    fault,
    isInjected: (await readFile(trace, 'utf8')).includes('(INJECTED)'),
    acknowledged: acknowledged.size,
    ended: code === 0 ? 'went on' : code === 3 ? 'stopped' : 'other',
    complaints,
  };
}

const byName = new Set(['rename', 'unlink', 'mkdir']);
const flag = (name: string, value: string) => [name, value];

function complaintsAboutOrder(lines: readonly string[]): string[] {
  const latched = lines.findIndex((line) => line.startsWith('latched '));
  if (latched === -1) return [];
  const late = lines.slice(latched).filter((line) => line.startsWith('ack '));
  const acted = lines.includes('late acted');
  return [
    ...(late.length > 0 ? [`${late.length} records were acknowledged after the log blocked`] : []),
    ...(acted ? ['a blocked log took a record'] : []),
  ];
}

async function complaintsAboutLog(
  dir: string,
  acknowledged: ReadonlyMap<number, string>,
): Promise<string[]> {
  const complaints: string[] = [];
  let opened;
  try {
    opened = await openSignedLog(dir);
  } catch (error) {
    // Only an empty start may be refused: then nothing was acknowledged.
    return [`the log does not open again: ${String(error)}`];
  }
  const seen = new Map<number, unknown>();
  const keys: string[] = [];
  for await (const { record } of opened.log.read()) {
    seen.set(record.seq, record.data['what']);
    if (record.type === 'key.created') keys.push(String(record.data['vkey']));
  }
  await opened.close();
  for (const [seq, what] of acknowledged) {
    if (seen.get(seq) !== what) complaints.push(`record ${seq} was acknowledged and is not there`);
  }
  const { exit, findings } = await verifyLog(dir, { keys });
  if (exit !== 0) complaints.push(`verify says ${exit}: ${findings[0]?.detail ?? ''}`);
  return complaints;
}
