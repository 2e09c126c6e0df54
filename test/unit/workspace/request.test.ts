import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { createServer, request, type ClientRequest, type Server } from 'node:http';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { pump } from '#cli/client/pump.ts';
import { takeSnapshot } from '#cli/workspace/upload.ts';
import type { SnapshotAnswer } from '#contract/snapshot.ts';
import { openWorkspace } from '#daemon/workspace/open.ts';
import { openThreads } from '#daemon/workspace/threads.ts';
import { sharedThreads } from '#test/support/threads.ts';
import { direct, sandbox, Scratch } from './support.ts';

/** A daemon's upload and nothing else, on a socket of its own. */
class Edge implements AsyncDisposable {
  readonly scratch = new Scratch();
  readonly outcomes: PromiseSettledResult<SnapshotAnswer>[] = [];
  readonly #server: Server;
  #close: (() => Promise<void>) | undefined;

  constructor(silenceMs = 30_000) {
    const ids = { sandboxUid: sandbox, sandboxGid: sandbox };
    const opened = openWorkspace({ stateDir: this.scratch.path('state'), ...ids, silenceMs });
    this.#close = async () => (await opened).close();
    this.#server = createServer((incoming, outgoing) => {
      void Promise.allSettled([opened.then(({ snapshots }) => snapshots.ingest(incoming))]).then(
        ([outcome]) => {
          this.outcomes.push(outcome);
          const failed = outcome.status === 'rejected';
          outgoing.writeHead(failed ? 400 : 200);
          outgoing.end(failed ? String(outcome.reason) : JSON.stringify(outcome.value));
        },
      );
    }).listen(this.scratch.path('socket'));
  }

  open(): { outgoing: ClientRequest; answer: Promise<string> } {
    const outgoing = request({ socketPath: this.scratch.path('socket'), method: 'POST' });
    const answer = new Promise<string>((resolve, reject) => {
      outgoing.on('error', reject).on('response', (response) => {
        let text = '';
        response.on('data', (part) => (text += String(part))).on('end', () => resolve(text));
      });
    });
    return { outgoing, answer };
  }

  get left(): string[] {
    return ['tmp', 'snapshots'].flatMap((name) =>
      fs.readdirSync(this.scratch.path(`state/${name}`)),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    await this.#close?.();
    await this.scratch[Symbol.asyncDispose]();
  }
}

const header = { type: 'file', path: 'a', executable: false, content: true };

test('a request that breaks off in a file is no snapshot and leaves nothing', async () => {
  await using edge = new Edge();
  const { outgoing, answer } = edge.open();
  outgoing.write(`${JSON.stringify({ ...header, bytes: 3_000_000 })}\n`);
  outgoing.write(Buffer.alloc(1_500_000), () => outgoing.destroy());

  await expect(answer).rejects.toThrow('socket hang up');
  await expect.poll(() => edge.outcomes).toMatchObject([{ status: 'rejected' }]);
  expect(edge.left).toEqual([]);
});

test('a request that falls silent in a file is given up', async () => {
  await using edge = new Edge(300);
  const { outgoing, answer } = edge.open();
  outgoing.write(`${JSON.stringify({ ...header, bytes: 3_000_000 })}\n`);

  expect(await answer).toContain('sent nothing');
  expect(edge.left).toEqual([]);
});

test('a refusal is answered although the rest of the request is still to come', async () => {
  await using edge = new Edge();
  const { outgoing, answer } = edge.open();
  async function* body(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('no header\n');
    for (let i = 0; i < 40; i += 1) yield Buffer.alloc(1 << 20);
  }
  const pumped = Promise.allSettled([pump(body(), outgoing)]);

  expect(await answer).toContain('malformed');
  await pumped;
  expect(edge.left).toEqual([]);
});

test('files of every size arrive byte for byte, however the stream was cut', async () => {
  await using edge = new Edge();
  const project = edge.scratch.path('project');
  const sizes = [0, 1, 4_095, 65_535, 65_536, 65_537, 262_143, 262_144, 262_145, 1 << 20, 1 << 22];
  fs.mkdirSync(project);
  for (const size of [...sizes, (1 << 22) + 1, 9_000_001]) {
    fs.writeFileSync(join(project, `f${size}`), randomBytes(size));
  }
  const { digest } = await takeSnapshot({
    workspace: project,
    memoFile: edge.scratch.path('memo'),
    transport: {
      find: async () => undefined,
      missing: async (digests) => digests,
      upload: async (body) => {
        const { outgoing, answer } = edge.open();
        await pump(body, outgoing);
        return JSON.parse(await answer) as SnapshotAnswer;
      },
    },
  });

  const tree = edge.scratch.path(`state/snapshots/${digest.slice(7)}/tree`);
  for (const name of fs.readdirSync(project)) {
    const [got, sent] = [tree, project].map((at) => fs.readFileSync(join(at, name)));
    expect(got?.equals(sent ?? Buffer.alloc(0)), name).toBe(true);
  }
  expect(fs.readdirSync(tree)).toHaveLength(sizes.length + 2);
});

test('blocks that are used again by their sender arrive as they were', async () => {
  await using scratch = new Scratch();
  const project = scratch.path('project');
  fs.mkdirSync(project);
  const content = randomBytes(2_000_000);
  fs.writeFileSync(join(project, 'a'), content);
  const transport = direct(await scratch.workspace());
  async function* spoiled(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const block of body) {
      yield block;
      block.fill(0);
    }
  }
  const { digest } = await takeSnapshot({
    workspace: project,
    memoFile: scratch.path('memo'),
    transport: { ...transport, upload: (body) => transport.upload(spoiled(body)) },
  });

  const tree = scratch.path(`state/snapshots/${digest.slice(7)}/tree`);
  expect(fs.readFileSync(join(tree, 'a')).equals(content)).toBe(true);
});

test('a file thread that was got ready and cannot start keeps nobody waiting', async () => {
  await using scratch = new Scratch();
  const workerUrl = new URL(`data:text/javascript,throw new Error('broken')`);
  const ids = { sandboxUid: sandbox, sandboxGid: sandbox };
  const broken = openThreads(workerUrl);
  const threads = { ...sharedThreads(), uploads: broken.uploads };
  const workspace = await openWorkspace({ stateDir: scratch.path('state'), ...ids, threads });
  async function* body(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('{}');
  }

  expect(await workspace.snapshots.missing([])).toEqual([]);
  await expect(workspace.snapshots.ingest(body())).rejects.toThrow(/broken|ended/);
  await new Promise((resolve) => setTimeout(resolve, 200));
  await expect(workspace.snapshots.ingest(body())).rejects.toThrow(/broken|ended/);
  expect(await workspace.snapshots.missing([])).toEqual([]);
  await new Promise((resolve) => setTimeout(resolve, 200));
  await expect(workspace.snapshots.ingest(body())).rejects.toThrow(/broken|ended/);
  await workspace.close();
  await broken.close();
});

test('a body is not taken further than one block ahead of what was sent', async () => {
  await using edge = new Edge();
  const { outgoing, answer } = edge.open();
  answer.catch(() => undefined);
  const block = Buffer.alloc(1 << 20);
  let asked = 0;
  // Nobody reads: a raw connection that the server has not been told of.
  outgoing.cork();
  async function* body(): AsyncGenerator<Uint8Array> {
    for (; asked < 10;) {
      asked += 1;
      yield block;
    }
  }
  const pumped = pump(body(), outgoing);
  pumped.catch(() => undefined);
  await new Promise((resolve) => setTimeout(resolve, 50));

  expect(asked).toBeLessThanOrEqual(2);
  outgoing.destroy();
  await expect(pumped).rejects.toThrow();
});
