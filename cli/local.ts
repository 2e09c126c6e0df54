import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { OrchestraError } from '#contract/errors.ts';
import { defaultPaths } from '#setup/paths.ts';
import { Client } from './client/client.ts';
import { safe } from './terminal/clean.ts';
import type { Env } from './terminal/streams.ts';
import { packageRoot } from './version.ts';

type Start = {
  env: Env;
  stateDir?: string;
  progress: (message: string) => void;
  /** The daemon's entry; a test puts its own there. */
  entry?: string;
  readyMs?: number;
};

const wordsKept = 8 * 1024;
const stopMs = 60_000;

/**
 * A daemon for one command: a child on a socket in a private folder. Its end is put into `cleanup`
 * before it is waited for, so that an interruption on the way leaves nothing behind. It is in a
 * process group of its own: Ctrl-C reaches the command, which cancels in an orderly way. Answers
 * the socket.
 */
export async function startLocalDaemon(
  start: Start,
  cleanup: AsyncDisposableStack,
): Promise<string> {
  const stateDir = start.stateDir ?? defaultStateDir(start.env);
  const runDir = await mkdtemp(path.join(tmpdir(), 'orchestra-'));
  cleanup.defer(async () => {
    await rm(runDir, { recursive: true, force: true });
  });
  const socketPath = path.join(runDir, 'orchestra.sock');
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  const entry = start.entry ?? daemonEntry();
  const child = spawn(
    process.execPath,
    // Even if this process is killed, its end of the pipe closes and the daemon stops.
    [entry, '--stop-with-stdin', '--socket', socketPath, '--state-dir', path.resolve(stateDir)],
    { stdio: ['pipe', 'pipe', 'pipe'], detached: true, env: { ...start.env } },
  );
  cleanup.defer(async () => {
    await stop(child);
  });
  const words = collect(child);
  try {
    await untilReady(child, socketPath, start.readyMs ?? 60_000, start.progress);
  } catch (cause) {
    if (cause instanceof NotReady) throw couldNotStart(cause.message, words());
    throw cause;
  }
  return socketPath;
}

class NotReady extends Error {}

/** Beside the default daemon's state, so that both may live at the same time. */
function defaultStateDir(env: Env): string {
  return `${defaultPaths(env, process.getuid?.() ?? -1).stateDir}-local`;
}

/** What Node runs as the daemon. */
export function daemonEntry(): string {
  const root = packageRoot();
  // In a checkout the sources run as they are; in an installed package they are bundled.
  const source = path.join(root, 'daemon/main.ts');
  return existsSync(source) ? source : path.join(root, 'dist/orchestrad.mjs');
}

async function untilReady(
  child: ChildProcess,
  socketPath: string,
  readyMs: number,
  progress: (message: string) => void,
): Promise<void> {
  const ended: { why?: string } = {};
  child.on('error', (error) => (ended.why = error.message));
  child.on('exit', (code, signal) => (ended.why = `it ended with ${code ?? signal ?? 'nothing'}`));
  const client = new Client(socketPath);
  const startedAt = performance.now();
  let said = false;
  try {
    while (ended.why === undefined) {
      if (await answers(client)) return;
      const waitedMs = performance.now() - startedAt;
      if (waitedMs > readyMs) throw new NotReady(`it did not answer within ${readyMs / 1000}s`);
      if (waitedMs > 1000 && !said) {
        said = true;
        progress('starting a local orchestrad');
      }
      await sleep(20);
    }
    throw new NotReady(ended.why);
  } finally {
    client.close();
  }
}

async function answers(client: Client): Promise<boolean> {
  try {
    await client.call('health', { timeoutMs: 2000 });
    return true;
  } catch {
    return false;
  }
}

function collect(child: ChildProcess): () => string[] {
  let tail = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      tail = (tail + text).slice(-wordsKept);
    });
  }
  return () =>
    tail
      .trimEnd()
      .split('\n')
      .slice(-8)
      .filter((line) => line !== '');
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), stopMs);
  await gone;
  clearTimeout(timer);
}

function couldNotStart(why: string, words: readonly string[]): OrchestraError {
  return new OrchestraError(
    'daemon.unreachable',
    `The local orchestrad did not start: ${safe(why)}`,
    {
      hint: 'orchestra doctor',
      places: words.map((line) => ({ message: daemonWords(line) })),
    },
  );
}

// Its log is JSON, one object a line; the message is what a person wants to see.
function daemonWords(line: string): string {
  try {
    const { msg } = JSON.parse(line) as { msg?: unknown };
    return typeof msg === 'string' ? msg : line;
  } catch {
    return line;
  }
}
