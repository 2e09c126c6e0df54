import { PassThrough } from 'node:stream';
import type { Signal } from '#cli/context.ts';
import { runCli } from '#cli/run-cli.ts';
import type { OutputStream } from '#cli/terminal/streams.ts';

export type Ran = {
  out: () => string;
  err: () => string;
  outBytes: () => Buffer;
  send: (signal: Signal) => void;
  code: Promise<number>;
};

type Surroundings = {
  host?: string;
  cwd: string;
  env?: Record<string, string>;
  /** What it finds on standard input; nothing ever where it is left out. */
  input?: string | Buffer;
  /** Both streams are terminals of this size. */
  screen?: { rows: number; columns: number };
};

/** Runs one command line in this process, with streams and signals of the test's own. */
export function orchestra(args: readonly string[], around: Surroundings): Ran {
  const out = collecting(around.screen);
  const err = collecting(around.screen);
  const listeners: ((signal: Signal) => void)[] = [];
  const left = Promise.withResolvers<number>();
  const code = runCli(args, {
    io: { stdin: inputOf(around.input), stdout: out.stream, stderr: err.stream },
    env: {
      HOME: around.cwd,
      XDG_STATE_HOME: `${around.cwd}/.state`,
      XDG_CACHE_HOME: `${around.cwd}/.cache`,
      ...(around.host === undefined ? {} : { ORCHESTRA_HOST: around.host }),
      ...around.env,
    },
    cwd: around.cwd,
    onSignal: (listener) => listeners.push(listener),
    exitNow: (number) => left.resolve(number),
  });
  return {
    out: () => out.bytes().toString('utf8'),
    err: () => err.bytes().toString('utf8'),
    outBytes: out.bytes,
    send: (signal) => {
      for (const listener of listeners) listener(signal);
    },
    code: Promise.race([code, left.promise]),
  };
}

function inputOf(input: string | Buffer | undefined): PassThrough {
  const stream = new PassThrough();
  if (input !== undefined) stream.end(input);
  return stream;
}

function collecting(screen: Surroundings['screen']): { stream: OutputStream; bytes: () => Buffer } {
  const chunks: Buffer[] = [];
  const stream: OutputStream = new PassThrough();
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  if (screen !== undefined) Object.assign(stream, { isTTY: true, ...screen });
  return { stream, bytes: () => Buffer.concat(chunks) };
}
