import { hash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { createGzip } from 'node:zlib';
import { pack } from 'tar-stream';

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/**
 * A registry on the loopback interface with real tarballs, at the usual places or, told so, only
 * where its packuments say. `requests` is everything that was ever asked of it.
 */
export class FakeRegistry implements AsyncDisposable {
  readonly requests: { path: string; authorization: string | undefined }[] = [];
  connections = 0;
  readonly #answers = new Map<string, Answer>();
  readonly #server = createServer((request, response) => {
    const path = decodeURIComponent(request.url ?? '');
    this.requests.push({ path, authorization: request.headers.authorization });
    const answer = this.#answers.get(path) ?? ((_, r) => r.writeHead(404).end('{}'));
    answer(request, response);
  });

  static async open(): Promise<FakeRegistry> {
    const registry = new FakeRegistry();
    registry.#server.on('connection', () => {
      registry.connections += 1;
    });
    registry.#server.listen(0, '127.0.0.1');
    await once(registry.#server, 'listening');
    return registry;
  }

  get host(): string {
    return `127.0.0.1:${this.port}`;
  }
  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }
  get url(): string {
    return `http://${this.host}/`;
  }
  get paths(): string[] {
    return this.requests.map(({ path }) => path);
  }

  /** Publishes a package and gives its integrity. */
  async publish(
    name: string,
    version: string,
    { files = {}, at }: { files?: Record<string, string>; at?: string } = {},
  ): Promise<string> {
    const tarball = await makeTarball({
      'package.json': JSON.stringify({ name, version }),
      ...files,
    });
    const integrity = `sha512-${hash('sha512', tarball, 'base64')}`;
    const path = at ?? `/${name}/-/${name.split('/').at(-1)}-${version}.tgz`;
    this.answer(path, (_, response) => response.end(tarball));
    const dist = { tarball: new URL(path, this.url).href, integrity };
    const packument = JSON.stringify({ name, versions: { [version]: { name, version, dist } } });
    this.answer(`/${name}`, (_, response) => response.end(packument));
    return integrity;
  }

  answer(path: string, answer: Answer): void {
    this.#answers.set(path, answer);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

export async function makeTarball(files: Readonly<Record<string, string>>): Promise<Buffer> {
  const tar = pack();
  for (const [path, text] of Object.entries(files)) tar.entry({ name: `package/${path}` }, text);
  tar.finalize();
  return buffer(tar.pipe(createGzip()));
}
