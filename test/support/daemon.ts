import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findEngine } from '#setup/engine/find.ts';

const root = new URL('../..', import.meta.url).pathname;
const sources = join(root, 'daemon/main.ts');

export type Ran = { code: number | null; stdout: string; stderr: string };

/** A real daemon as a child process, with a state directory and socket of its own. */
export class TestDaemon implements AsyncDisposable {
  readonly dir: string;
  readonly stateDir: string;
  readonly socket: string;
  #child: ChildProcess;
  #output = '';

  private constructor(dir: string, child: ChildProcess) {
    this.dir = dir;
    this.stateDir = join(dir, 'state');
    this.socket = join(dir, 'run', 'orchestra.sock');
    this.#child = child;
    this.#listen();
  }

  /** `entry` is the program: the sources, or what the npm package ships. */
  static async start(
    flags: readonly string[] = [],
    entry = sources,
    env: Readonly<Record<string, string>> = {},
  ): Promise<TestDaemon> {
    // Not under the world-writable /tmp itself: mkdtemp makes a folder of mode 0700 in it.
    const dir = await mkdtemp(join(tmpdir(), 'orc-'));
    const daemon = new TestDaemon(dir, await launch(dir, flags, entry, env));
    await daemon.#untilReady();
    return daemon;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get output(): string {
    return this.#output;
  }

  /** Starts it again on the same state, after it was stopped or killed. */
  async restart(
    flags: readonly string[] = [],
    env: Readonly<Record<string, string>> = {},
  ): Promise<void> {
    this.#child = await launch(this.dir, flags, sources, env);
    this.#listen();
    await this.#untilReady();
  }

  /** Waits until it ended by itself; answers by which signal. */
  async ended(): Promise<NodeJS.Signals | null> {
    const child = this.#child;
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    return child.signalCode;
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) {
      return this.#child.exitCode;
    }
    this.#child.kill(signal);
    await once(this.#child, 'exit');
    return this.#child.exitCode;
  }

  /** Runs the CLI against this daemon. */
  async cli(
    args: readonly string[],
    options: { cwd?: string; input?: string; program?: string } = {},
  ): Promise<Ran> {
    return runCli(args, {
      ...options,
      env: {
        ORCHESTRA_HOST: `unix://${this.socket}`,
        XDG_CACHE_HOME: join(this.dir, 'cache'),
        XDG_STATE_HOME: join(this.dir, 'cli-state'),
      },
      cwd: options.cwd ?? this.dir,
    });
  }

  /** A raw request, for what no client would send. */
  async ask(
    method: string,
    path: string,
    body?: string | Buffer,
    headers: Record<string, string> = {},
  ): Promise<{ status: number; headers: NodeJS.Dict<string | string[]>; text: string }> {
    return new Promise((resolve, reject) => {
      const call = request(
        {
          socketPath: this.socket,
          method,
          path,
          headers: { 'content-type': 'application/json', ...headers },
        },
        (answer) => {
          let text = '';
          answer.setEncoding('utf8');
          answer.on('data', (part: string) => (text += part));
          answer.on('end', () =>
            resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text }),
          );
          answer.on('error', reject);
        },
      );
      call.on('error', reject);
      call.end(body);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await rm(this.dir, { recursive: true, force: true });
  }

  #listen(): void {
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8');
      stream?.on('data', (part: string) => (this.#output = (this.#output + part).slice(-100_000)));
    }
  }

  async #untilReady(): Promise<void> {
    for (let waited = 0; waited < 60_000; waited += 25) {
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) break;
      const answer = await this.ask('GET', '/readyz').catch(() => undefined);
      if (answer?.status === 200) return;
      await sleep(25);
    }
    throw new Error(`orchestrad did not get ready:\n${this.#output}`);
  }
}

async function launch(
  dir: string,
  flags: readonly string[],
  entry = sources,
  env: Readonly<Record<string, string>> = {},
): Promise<ChildProcess> {
  const engine = await findEngine({ env: process.env });
  const given = [
    '--state-dir',
    join(dir, 'state'),
    '--socket',
    join(dir, 'run', 'orchestra.sock'),
    '--engine',
    engine.host,
    ...(await runtimeFlags(dir)),
    ...flags,
  ];
  return spawn(process.execPath, [entry, ...given], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
}

/** `ORCHESTRA_TEST_RUNTIME` runs the tasks of a suite on another rung of the ladder of isolation. */
async function runtimeFlags(dir: string): Promise<string[]> {
  const runtime = process.env['ORCHESTRA_TEST_RUNTIME'] ?? '';
  if (runtime === '') return [];
  const file = join(dir, 'runtime.yaml');
  await writeFile(file, `runtime: ${runtime}\n`);
  return ['--config', file];
}

export async function runCli(
  args: readonly string[],
  options: {
    cwd: string;
    env?: Record<string, string>;
    input?: string;
    signal?: AbortSignal;
    /** Another program than the CLI. */
    program?: string;
  },
): Promise<Ran> {
  const child = spawn(process.execPath, [options.program ?? join(root, 'cli/main.ts'), ...args], {
    cwd: options.cwd,
    env: { ...process.env, NO_COLOR: '1', ...options.env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  options.signal?.addEventListener('abort', () => child.kill('SIGINT'), { once: true });
  child.stdin.on('error', () => {});
  child.stdin.end(options.input ?? '');
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (part: string) => (stdout += part));
  child.stderr.setEncoding('utf8').on('data', (part: string) => (stderr += part));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout, stderr };
}
