import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import path from 'node:path';
import { randomBytes } from 'node:crypto';
import { PassThrough } from 'node:stream';
import type { RunView } from '#contract/run.ts';
import type { Client } from '../client/client.ts';
import type { Context } from '../context.ts';
import { transportOf } from '../run/snapshot.ts';
import { RunLinks } from '../run/links.ts';
import { takeSnapshot } from '../workspace/upload.ts';
import type { LeftOut } from '#contract/snapshot.ts';
import type { Seen, TaskLimits } from './attack.ts';
import { ask, type Asked, type RawAnswer } from './raw.ts';
import { readSeen } from './seen.ts';

export type Wish = {
  id: string;
  script: string;
  files?: Readonly<Record<string, string>>;
  limits?: TaskLimits;
  outputs?: Readonly<Record<string, string>>;
  deps?: readonly string[];
};

export type Played = { run: RunView; seen: ReadonlyMap<string, Seen>; links: RunLinks };

export type PolicyWish = Readonly<Record<string, unknown>>;

type Settings = {
  context: Context;
  client: Client;
  /** The policy document that every run is given; absent: the daemon's own. */
  policy: PolicyWish | undefined;
  /** The daemon's own document, to make narrower and hungrier ones from. */
  policyDocument: PolicyWish;
  signal: AbortSignal;
};

const runMs = 180_000;

/**
 * Where attacks take place: a temporary directory with things that must stay unseen, listeners
 * that must hear nothing, and the daemon. Everything goes the way of any other user of the
 * product: uploads, plans, runs, requests on its socket.
 */
export class Field implements AsyncDisposable {
  readonly client: Client;
  readonly context: Context;
  readonly policyDocument: PolicyWish;
  readonly token = randomBytes(12).toString('hex');
  /** A text that lies in files, in the environment and in memory here, and nowhere else. */
  readonly canary = `canary-${randomBytes(16).toString('hex')}`;
  readonly dir: string;
  readonly runs: Played[] = [];
  readonly signal: AbortSignal;
  readonly #policy: PolicyWish | undefined;
  readonly #servers: Server[] = [];
  #made = 0;
  #port = 0;
  #heard = 0;
  #firstSeq = 0;

  private constructor(dir: string, { context, client, policy, policyDocument, signal }: Settings) {
    this.dir = dir;
    this.context = context;
    this.client = client;
    this.policyDocument = policyDocument;
    this.signal = signal;
    this.#policy = policy;
  }

  static async open(settings: Settings): Promise<Field> {
    const field = new Field(await mkdtemp(path.join(tmpdir(), 'orchestra-selftest-')), settings);
    await mkdir(field.outside);
    await writeFile(path.join(field.outside, 'secret.txt'), field.canary);
    await field.#listen();
    field.#firstSeq = (await settings.client.call('auditHead')).size;
    return field;
  }

  /** A directory of this machine that no task was given. */
  get outside(): string {
    return path.join(this.dir, 'outside');
  }

  get abstractSocket(): string {
    return `\0orchestra-selftest-${this.token}`;
  }

  get port(): number {
    return this.#port;
  }

  /** How often somebody reached one of the listeners here. */
  get heard(): number {
    return this.#heard;
  }

  /** The number of the first record that may be about this selftest. */
  get firstSeq(): number {
    return this.#firstSeq;
  }

  /** What a script may know. */
  facts(): Record<string, unknown> {
    const addresses = Object.values(networkInterfaces()).flatMap(
      (each) => each?.map(({ address }) => address) ?? [],
    );
    return {
      token: this.token,
      outside: this.outside,
      // In two halves, so that a script that is read back is not taken for the canary.
      canary: [this.canary.slice(0, 12), this.canary.slice(12)],
      port: this.#port,
      abstract: this.abstractSocket,
      addresses: [...new Set(addresses)].filter((each) => !each.startsWith('fe80')),
      hostPid: process.pid,
      socket: this.client.socketPath,
    };
  }

  /** A directory of its own under `dir`. */
  async folder(name: string): Promise<string> {
    this.#made += 1;
    const folder = path.join(this.dir, `${name}-${this.#made}`);
    await mkdir(folder);
    return folder;
  }

  /** Uploads a directory as any client does. */
  async snapshot(workspace: string): Promise<{ digest: string; leftOut: LeftOut[] }> {
    return takeSnapshot({
      workspace,
      memoFile: path.join(this.dir, 'memo'),
      transport: transportOf(this.client),
    });
  }

  /** Runs the scripts as tasks of one run, each in a directory of its own, to its end. */
  async play(
    wishes: readonly Wish[],
    options: { policy?: PolicyWish; concurrency?: number; workspace?: string } = {},
  ): Promise<Played> {
    const workspace = options.workspace ?? (await this.folder('work'));
    const { preludeFor } = await import('./prelude.ts');
    const prelude = preludeFor(this.facts());
    await mkdir(path.join(workspace, 'scripts'), { recursive: true });
    for (const { id, script, files } of wishes) {
      await mkdir(path.join(workspace, id), { recursive: true });
      const own = { 'own.txt': 'own', ...files };
      for (const [name, text] of Object.entries(own)) {
        const at = path.join(workspace, id, name);
        await mkdir(path.dirname(at), { recursive: true });
        await writeFile(at, text);
      }
      const body = `${prelude}\n(async () => {\n${script}\n})();\n`;
      await writeFile(path.join(workspace, 'scripts', `${id}.cjs`), body);
    }
    const { digest } = await this.snapshot(workspace);
    const plan = {
      version: 1,
      tasks: wishes.map(({ id, limits, outputs, deps }) => ({
        id,
        tool: 'node',
        args: [`../scripts/${id}.cjs`],
        cwd: id,
        deps: deps ?? [],
        limits: { timeout: '60s', ...limits },
        on_failure: 'continue',
        outputs: Object.entries(outputs ?? {}).map(([name, at]) => ({ name, path: `${id}/${at}` })),
      })),
    };
    return this.submit(
      { snapshot: digest, plan: { text: JSON.stringify(plan), file: 'selftest.json' } },
      options,
    );
  }

  /** Submits anything, follows it to its end and reads what became of it. */
  async submit(
    body: { snapshot: string; plan?: { text: string; file: string }; exec?: string[] },
    { policy, concurrency = 4 }: { policy?: PolicyWish; concurrency?: number } = {},
  ): Promise<Played> {
    const given = policy ?? this.#policy;
    const document =
      given === undefined
        ? {}
        : { policy: { text: JSON.stringify(given), file: 'selftest-policy.json' } };
    const { id } = await this.client.call('runSubmit', {
      // A wall holds when it was run against, not when an earlier result says that it did.
      body: {
        intent: 'orchestra selftest --hostile',
        concurrency,
        cache: false,
        ...body,
        ...document,
      },
      signal: this.signal,
    });
    const links = new RunLinks();
    const signal = AbortSignal.any([this.signal, AbortSignal.timeout(runMs)]);
    try {
      for await (const record of this.client.events('runEvents', {
        params: { id },
        signal,
        isLast: (each) => each.type === 'run.closed',
      })) {
        links.see(record);
      }
      if (signal.aborted) throw signal.reason;
    } catch (error) {
      const reason = 'the selftest stopped';
      await this.client
        .call('runCancel', { params: { id }, body: { reason } })
        .catch(() => undefined);
      throw error;
    }
    const run = await this.client.call('runShow', { params: { id } });
    const played = { run, seen: await readSeen(this.client, run, this.token), links };
    this.runs.push(played);
    return played;
  }

  /** A request as no client would send it. */
  async ask(asked: Asked): Promise<RawAnswer> {
    return ask(this.client.socketPath, asked);
  }

  async isReady(): Promise<boolean> {
    const answer = await this.ask({ path: '/readyz' });
    return answer.status === 200;
  }

  /** The installed CLI itself, in this process, with streams of its own and a memory of its own. */
  async cli(args: readonly string[]): Promise<{ code: number; out: string; err: string }> {
    const { runCli } = await import('../run-cli.ts');
    const [out, err] = [collecting(), collecting()];
    const code = await runCli(['--host', `unix://${this.client.socketPath}`, ...args], {
      io: { stdin: new PassThrough(), stdout: out.stream, stderr: err.stream },
      env: {
        ...this.context.env,
        XDG_STATE_HOME: path.join(this.dir, 'state'),
        XDG_CACHE_HOME: path.join(this.dir, 'cache'),
      },
      cwd: this.dir,
      onSignal: () => undefined,
      exitNow: () => undefined,
    });
    return { code, out: out.text(), err: err.text() };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers) server.close();
    await rm(this.dir, { recursive: true, force: true });
  }

  async #listen(): Promise<void> {
    const hear = (): void => void (this.#heard += 1);
    const tcp = createServer(hear);
    const abstract = createServer(hear);
    await listening(tcp, { port: 0, host: '0.0.0.0' });
    await listening(abstract, { path: this.abstractSocket });
    this.#servers.push(tcp, abstract);
    this.#port = (tcp.address() as { port: number }).port;
  }
}

async function listening(
  server: Server,
  where: { port?: number; host?: string; path?: string },
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(where, resolve);
  });
}

function collecting(): { stream: PassThrough; text: () => string } {
  const chunks: Buffer[] = [];
  const stream = new PassThrough();
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  return { stream, text: () => Buffer.concat(chunks).toString('utf8') };
}
