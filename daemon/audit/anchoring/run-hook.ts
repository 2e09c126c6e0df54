import { spawn, type ChildProcess } from 'node:child_process';

export type HookEnd =
  { ok: true } | { ok: false; reason: 'start' | 'timeout' | 'output' | 'exit'; detail: string };

type Hook = {
  command: readonly string[];
  input: string;
  env: Readonly<Record<string, string>>;
  timeoutMs: number;
  signal: AbortSignal;
};

const outputBytesMax = 256 * 1024;
const keptBytes = 400;

/**
 * Runs a program in a process group of its own, with no more than `env`, until it ends, is too late
 * or too loud. Whatever of its group is left then is killed; what left the group holds nobody up.
 */
export async function runHook({ command, input, env, timeoutMs, signal }: Hook): Promise<HookEnd> {
  const [program = '', ...rest] = command;
  const { promise, resolve } = Promise.withResolvers<HookEnd>();
  const child = spawn(program, rest, { cwd: '/', env, detached: true, stdio: 'pipe' });
  const said = new Tail();
  const fail = (reason: 'timeout' | 'output' | 'start', detail: string) => {
    resolve({ ok: false, reason, detail: `${detail}${said.text}` });
  };
  const timer = setTimeout(() => fail('timeout', `no end after ${timeoutMs} ms`), timeoutMs);
  const stop = () => fail('timeout', 'the daemon stops');
  signal.addEventListener('abort', stop, { once: true });
  child.on('error', (error) => fail('start', error.message));
  child.on('exit', (code, killedBy) => {
    // What it printed last may still be in the pipe.
    setImmediate(() => {
      if (code === 0) resolve({ ok: true });
      else {
        const how = code === null ? `killed by ${killedBy}` : `exit ${code}`;
        resolve({ ok: false, reason: 'exit', detail: `${how}${said.text}` });
      }
    });
  });
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      said.add(chunk);
      if (said.bytes > outputBytesMax) fail('output', `more than ${outputBytesMax} bytes printed`);
    });
    stream.on('error', () => undefined);
  }
  // One that does not read is no failure of its own.
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  if (signal.aborted) stop();
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', stop);
    killGroup(child);
    for (const stream of child.stdio) stream?.destroy();
  }
}

function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // Nobody is left in it.
  }
}

class Tail {
  bytes = 0;
  #kept = Buffer.alloc(0);

  add(chunk: Buffer): void {
    this.bytes += chunk.length;
    this.#kept = Buffer.concat([this.#kept, chunk.subarray(-keptBytes)]).subarray(-keptBytes);
  }

  get text(): string {
    const text = this.#kept.toString('utf8').trim();
    return text === '' ? '' : `: ${text}`;
  }
}
