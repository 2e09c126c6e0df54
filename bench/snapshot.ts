/**
 * A snapshot of 10,000 files and 300 MB against `cp -a` of the same tree, alternately in one run,
 * client and daemon in two processes with a unix socket between, as in real life.
 * `node bench/snapshot.ts [rounds]`; raw samples go to `bench/results/snapshot.json`.
 */
import { type ChildProcess, execFileSync, fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { createServer, request } from 'node:http';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { SnapshotAnswer, SnapshotInfo } from '#contract/snapshot.ts';
import { pump } from '#cli/client/pump.ts';
import { type SnapshotTransport, takeSnapshot } from '#cli/workspace/upload.ts';
import { openWorkspace } from '#daemon/workspace/open.ts';

const files = 10_000;
const totalBytes = 300_000_000;
const self = fileURLToPath(import.meta.url);

if (process.argv[2] === 'serve') await serve(process.argv[3] ?? '');
else if (process.argv[2] === 'client') await client(process.argv[3] ?? '', process.argv[4] ?? '');
else await measure(Number(process.argv[2] ?? 5));

async function serve(root: string): Promise<void> {
  const workspace = await openWorkspace({
    stateDir: join(root, 'state'),
    sandboxUid: 1000,
    sandboxGid: 1000,
  });
  const server = createServer((req, res) => {
    const answer = async (): Promise<unknown> => {
      if (req.url === '/upload') return workspace.snapshots.ingest(req);
      if (req.url === '/missing') {
        const { digests } = JSON.parse(await text(req)) as { digests: string[] };
        return workspace.snapshots.missing(digests);
      }
      return (await workspace.snapshots.find((req.url ?? '').slice(1))) ?? null;
    };
    answer().then(
      (value) => res.end(JSON.stringify(value)),
      (cause: unknown) => res.writeHead(500).end(String(cause)),
    );
  }).listen(join(root, 'socket'), () => process.send?.('ready'));
  process.on('message', () => {
    const { user, system } = process.cpuUsage();
    process.send?.((user + system) / 1000);
  });
  process.once('disconnect', () => {
    server.close();
    void workspace.close();
  });
}

/** One snapshot in a process of its own; prints what the calls took, without the start of Node. */
async function client(root: string, socketPath: string): Promise<void> {
  const started = process.hrtime.bigint();
  const taken = await takeSnapshot({
    workspace: join(root, '../project'),
    memoFile: join(root, 'memo'),
    transport: transport(socketPath),
  });
  const ms = Number(process.hrtime.bigint() - started) / 1e6;
  const { user, system } = process.cpuUsage();
  const cpuMs = (user + system) / 1000;
  process.stdout.write(JSON.stringify({ ms, cpuMs, uploaded: taken.uploaded, files: taken.files }));
}

function transport(socketPath: string): SnapshotTransport {
  const call = async (path: string, body: AsyncIterable<Uint8Array>): Promise<unknown> => {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const req = request({ socketPath, path, method: 'POST' }, (res) => {
      text(res).then(resolve, reject);
    });
    req.on('error', reject);
    await pump(body, req);
    return JSON.parse(await promise);
  };
  async function* json(value: unknown): AsyncGenerator<Uint8Array> {
    yield Buffer.from(JSON.stringify(value));
  }
  return {
    find: async (digest) =>
      ((await call(`/${digest}`, json({}))) ?? undefined) as SnapshotInfo | undefined,
    missing: async (digests) => (await call('/missing', json({ digests }))) as string[],
    upload: async (body) => (await call('/upload', body)) as SnapshotAnswer,
  };
}

async function text(stream: AsyncIterable<Buffer>): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts).toString('utf8');
}

async function measure(rounds: number): Promise<void> {
  const root = fs.mkdtempSync(join(tmpdir(), 'orc-bench-'));
  const samples: Record<string, number[]> = {
    cp: [],
    first: [],
    firstClientCpu: [],
    firstDaemonCpu: [],
    unchanged: [],
    unchangedProcess: [],
  };
  try {
    makeProject(join(root, 'project'));
    execFileSync('sync');
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    for (let round = 0; round < rounds; round += 1) await oneRound(join(root, `${round}`), samples);
  } finally {
    fs.rmSync(root, { recursive: true, force: true });
  }
  const median = (name: string): number =>
    samples[name]?.toSorted((a, b) => a - b)[rounds >> 1] ?? 0;
  const summary = {
    files,
    totalBytes,
    rounds,
    cpus: cpus().length,
    load: loadavg(),
    node: process.version,
    median: Object.fromEntries(
      Object.keys(samples).map((name) => [name, Math.round(median(name))]),
    ),
    firstToCp: Number((median('first') / median('cp')).toFixed(2)),
    samples,
  };
  fs.mkdirSync(new URL('./results/', import.meta.url), { recursive: true });
  fs.writeFileSync(
    new URL('./results/snapshot.json', import.meta.url),
    `${JSON.stringify(summary, null, 2)}\n`,
  );
  process.stdout.write(`${JSON.stringify({ ...summary, samples: undefined }, null, 2)}\n`);
}

/**
 * Nothing is removed before the end: for minutes after ten thousand files went, ext4 looks at each
 * of their inodes again for every file it makes, and who comes second pays several times over.
 */
async function oneRound(root: string, samples: Record<string, number[]>): Promise<void> {
  fs.mkdirSync(root);
  const project = join(root, '../project');
  timed(samples, 'cp', () => execFileSync('cp', ['-a', project, join(root, 'copy')]));
  execFileSync('sync');
  const daemon = fork(self, ['serve', root]);
  await new Promise((resolve) => daemon.once('message', resolve));
  const run = (): { ms: number; cpuMs: number } =>
    JSON.parse(
      execFileSync(process.execPath, [self, 'client', root, join(root, 'socket')]).toString(),
    ) as { ms: number; cpuMs: number };
  const idleCpuMs = await cpuOf(daemon);
  const first = run();
  samples['first']?.push(first.ms);
  samples['firstClientCpu']?.push(first.cpuMs);
  samples['firstDaemonCpu']?.push((await cpuOf(daemon)) - idleCpuMs);
  timed(samples, 'unchangedProcess', () => samples['unchanged']?.push(run().ms));
  daemon.disconnect();
  await new Promise((resolve) => daemon.once('exit', resolve));
  fs.rmSync(join(root, 'socket'), { force: true });
}

/** Processor time so far: comparable even where other work makes the clock useless. */
async function cpuOf(daemon: ChildProcess): Promise<number> {
  const answer = new Promise<number>((resolve) => {
    daemon.once('message', (ms) => resolve(Number(ms)));
  });
  daemon.send('cpu');
  return answer;
}

function timed(samples: Record<string, number[]>, name: string, act: () => unknown): void {
  const started = process.hrtime.bigint();
  act();
  samples[name]?.push(Number(process.hrtime.bigint() - started) / 1e6);
}

/** Many small files and some large ones, as in a real repository; content does not repeat. */
function makeProject(project: string): void {
  const large = 20;
  const largeBytes = Math.floor(totalBytes / 3 / large);
  const smallBytes = Math.floor((totalBytes - large * largeBytes) / (files - large));
  for (let i = 0; i < files; i += 1) {
    const dir = join(project, `d${i % 40}`, `e${i % 400}`);
    if (i < 400) fs.mkdirSync(dir, { recursive: true });
    fs.writeFileSync(join(dir, `file-${i}.ts`), randomBytes(i < large ? largeBytes : smallBytes));
  }
}
