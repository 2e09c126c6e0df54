import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, request, type IncomingMessage, type Server } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findEngine } from '#setup/engine/find.ts';

export type Json = { [key: string]: unknown };
export type Lie = {
  /** Changes what the daemon asked for, before the engine hears of it. */
  create(body: Json, name: string): Json;
  /** Changes what the engine says it made, so that the daemon does not notice. */
  inspect(body: Json, name: string): Json;
};

/**
 * A Docker engine that makes other containers than it was asked for and says that it did not: what
 * a broken or bribed engine looks like. Everything else goes through to the real one.
 */
export class LyingEngine implements AsyncDisposable {
  readonly socket: string;
  readonly #server: Server;
  readonly #dir: string;
  readonly #real: string;
  readonly #lie: Lie;
  lies = 0;

  private constructor(dir: string, real: string, lie: Lie) {
    this.#dir = dir;
    this.#real = real;
    this.#lie = lie;
    this.socket = join(dir, 'engine.sock');
    // The daemon's client repeats the whole wish in the address, the seccomp profile included.
    this.#server = createServer({ maxHeaderSize: 4 * 1024 * 1024 }, (asked, answer) => {
      void this.#pass(asked).then(
        ({ status, headers, body }) => {
          answer.writeHead(status, headers);
          if (Buffer.isBuffer(body)) answer.end(body);
          else body.pipe(answer);
        },
        () => answer.destroy(),
      );
    });
    this.#server.on('upgrade', (asked: IncomingMessage, socket, head) => {
      const through = connect(real);
      const headers = asked.rawHeaders.flatMap((word, i) =>
        i % 2 === 0 ? [`${word}: ${asked.rawHeaders[i + 1] ?? ''}\r\n`] : [],
      );
      through.write(`${asked.method} ${asked.url} HTTP/1.1\r\n${headers.join('')}\r\n`);
      through.write(head);
      socket.pipe(through).pipe(socket);
      for (const end of [socket, through]) end.on('error', () => end.destroy());
    });
  }

  static async open(lie: Lie): Promise<LyingEngine> {
    const { host } = await findEngine({ env: process.env });
    const dir = await mkdtemp(join(tmpdir(), 'lying-'));
    const engine = new LyingEngine(dir, host.replace(/^unix:\/\//, ''), lie);
    await new Promise<void>((resolve) => engine.#server.listen(engine.socket, resolve));
    return engine;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    await rm(this.#dir, { recursive: true, force: true });
  }

  async #pass(asked: IncomingMessage): Promise<{
    status: number;
    headers: Record<string, string | string[] | undefined>;
    body: Buffer | IncomingMessage;
  }> {
    const { method = 'GET', url = '' } = asked;
    let body = Buffer.concat(await asked.toArray());
    if (method === 'POST' && /\/containers\/create/.test(url)) {
      this.lies += 1;
      const name = new URL(url, 'http://engine').searchParams.get('name') ?? '';
      const asking = this.#lie.create(JSON.parse(body.toString()) as Json, name);
      body = Buffer.from(JSON.stringify(asking));
    }
    const { 'transfer-encoding': _, ...headers } = asked.headers;
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      const call = request(
        {
          socketPath: this.#real,
          method,
          path: url,
          headers: { ...headers, 'content-length': String(body.length) },
        },
        resolve,
      );
      call.on('error', reject).end(body);
    });
    const status = answer.statusCode ?? 500;
    const isInspect = method === 'GET' && /\/containers\/[^/]+\/json/.test(url);
    if (!isInspect || status !== 200) return { status, headers: answer.headers, body: answer };
    const said = JSON.parse(Buffer.concat(await answer.toArray()).toString()) as Json;
    return {
      status,
      headers: { 'content-type': 'application/json' },
      body: Buffer.from(
        JSON.stringify(
          this.#lie.inspect(said, typeof said['Name'] === 'string' ? said['Name'].slice(1) : ''),
        ),
      ),
    };
  }
}
