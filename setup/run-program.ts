import { execFile } from 'node:child_process';

export type ProgramOptions = {
  env?: NodeJS.ProcessEnv;
  cwd?: string;
  timeoutMs: number;
  outputMax?: number;
};

/** Runs a program without a shell and without stdin; its stdout as bytes. Rejects with `stderr`. */
export async function runProgram(
  program: string,
  arguments_: readonly string[],
  { env, cwd, timeoutMs, outputMax = 16 * 1024 * 1024 }: ProgramOptions,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      program,
      [...arguments_],
      {
        timeout: timeoutMs,
        maxBuffer: outputMax,
        encoding: 'buffer',
        ...(env === undefined ? {} : { env }),
        ...(cwd === undefined ? {} : { cwd }),
      },
      (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else reject(Object.assign(error, { stderr: stderr.toString('utf8') }));
      },
    );
    child.stdin?.end();
  });
}

/** The last lines of what a failed program said. */
export function lastWords(error: unknown, lines = 5): string[] {
  const stderr = (error as { stderr?: unknown }).stderr;
  const text = typeof stderr === 'string' && stderr !== '' ? stderr : String(error);
  return text.trimEnd().split('\n').slice(-lines);
}
