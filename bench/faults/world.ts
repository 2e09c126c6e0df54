import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from '#cli/client/client.ts';
import { stopEngine } from '#setup/engine/control.ts';
import { startPrivateEngine } from '#setup/engine/private.ts';
import { isDead, livePid } from '#setup/engine/processes.ts';
import { buildImage } from '#setup/image/images.ts';
import { defaultPaths, enginePaths } from '#setup/paths.ts';

const root = new URL('../..', import.meta.url).pathname;
const readyMs = 60_000;

/** A daemon and an engine of their own, which may be killed and come back. */
export class World {
  readonly dir: string;
  readonly stateDir: string;
  readonly socket: string;
  readonly engine;
  readonly client: Client;
  readonly #env: NodeJS.ProcessEnv;
  /** How often the daemon ended without being told to: a campaign that hides this hides the worst. */
  crashes = 0;
  #daemon: ChildProcess | undefined;
  #isTold = false;

  constructor(dir: string) {
    this.dir = dir;
    this.stateDir = join(dir, 's');
    this.socket = join(dir, 'o.sock');
    this.#env = { ...process.env, ORCHESTRA_ENGINE_DIR: join(dir, 'e') };
    this.engine = enginePaths(this.#env);
    this.client = new Client(this.socket);
    mkdirSync(dir, { recursive: true, mode: 0o700 });
  }

  async start(): Promise<void> {
    await this.startEngine();
    const { cacheDir } = defaultPaths(process.env, process.getuid?.() ?? -1);
    const host = `unix://${this.engine.socket}`;
    await buildImage({ engine: { host }, cacheDir, progress: () => {} });
    await this.startDaemon();
  }

  async startEngine(): Promise<void> {
    await startPrivateEngine(this.engine, () => {});
  }

  /** Resolves once it answers; the engine has to be there. */
  async startDaemon(): Promise<void> {
    const log = openSync(join(this.dir, 'daemon.log'), 'a');
    const host = `unix://${this.engine.socket}`;
    const flags = ['--state-dir', this.stateDir, '--socket', this.socket, '--engine', host];
    const child = spawn(process.execPath, [join(root, 'daemon/main.ts'), ...flags], {
      stdio: ['ignore', log, log],
      env: this.#env,
    });
    this.#daemon = child;
    this.#isTold = false;
    child.on('exit', () => {
      if (!this.#isTold) this.crashes += 1;
    });
    const giveUpAt = performance.now() + readyMs;
    while (child.exitCode === null && child.signalCode === null) {
      if (await this.client.call('ready', { timeoutMs: 2_000 }).then(yes, no)) return;
      if (performance.now() > giveUpAt) break;
      await sleep(50);
    }
    throw new Error(`the daemon did not get ready, see ${join(this.dir, 'daemon.log')}`);
  }

  async killDaemon(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** As a user stops it; whatever is left after this is left for good. */
  async stopDaemon(): Promise<void> {
    await this.#end('SIGTERM');
  }

  async killEngine(): Promise<void> {
    const pid = livePid(this.engine.pidFile);
    if (pid === undefined) return;
    process.kill(pid, 'SIGKILL');
    while (!isDead(pid)) await sleep(10);
  }

  async close(): Promise<void> {
    await this.#end('SIGTERM');
    this.client.close();
    await stopEngine(this.engine, { force: true, progress: () => {} });
  }

  /** Brings a daemon back that ended by itself. */
  async revive(): Promise<void> {
    const child = this.#daemon;
    if (child?.exitCode === null && child.signalCode === null) return;
    await this.startDaemon();
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#daemon;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    this.#isTold = true;
    child.kill(signal);
    await once(child, 'exit');
  }
}

const yes = () => true;
const no = () => false;
