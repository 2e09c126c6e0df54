import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from '#cli/client/client.ts';
import { transportOf } from '#cli/run/snapshot.ts';
import { takeSnapshot } from '#cli/workspace/upload.ts';
import { runOutcomes, type RunView, type SubmitRun } from '#contract/run.ts';
import type { TestDaemon } from '#test/support/daemon.ts';
import { memoryOf } from './memory.ts';
import type { Figures } from './table.ts';

type Samples = Record<'taskMs' | 'firstByteMs' | 'loopMs' | 'filesMs' | 'calls' | 'idle', number[]>;

const idleSandboxes = 4;
const over: readonly string[] = runOutcomes;

const loop =
  'const t = Date.now(); let s = 0; for (let i = 0; i < 2e8; i++) s += i & 7; console.log(Date.now() - t)';
const files =
  "const fs = require('fs'); fs.mkdirSync('many'); const t = Date.now(); for (let i = 0; i < 2000; i++) fs.writeFileSync('many/f' + i, 'some bytes'); console.log(Date.now() - t)";
const calls =
  "const fs = require('fs'); const t = Date.now(); let n = 0; while (Date.now() - t < 500) for (let i = 0; i < 100; i++, n++) fs.fstatSync(1); console.log(n * 2)";

/** What one daemon on one engine with one runtime costs; everything through its API, as users do. */
export async function measure(
  daemon: TestDaemon,
  workspace: string,
  rounds: number,
): Promise<{ kernel: string; figures: Figures; samples: Samples }> {
  const client = new Client(daemon.socket);
  const memoFile = join(daemon.dir, 'memo');
  const { digest } = await takeSnapshot({ workspace, memoFile, transport: transportOf(client) });
  const bench = new Bench(client, daemon, digest);
  const samples: Samples = {
    taskMs: [],
    firstByteMs: [],
    loopMs: [],
    filesMs: [],
    calls: [],
    idle: [],
  };
  try {
    // The first run of all resolves and pins the image.
    const kernel = await bench.said(['node', '-p', 'require("os").release()']);
    for (let round = 0; round < rounds; round += 1) {
      const { totalMs, firstByteMs } = await bench.timed();
      samples.taskMs.push(totalMs);
      samples.firstByteMs.push(firstByteMs);
      samples.loopMs.push(Number(await bench.said(['node', '-e', loop])));
      samples.filesMs.push(Number(await bench.said(['node', '-e', files])));
      samples.calls.push(Number(await bench.said(['node', '-e', calls])));
    }
    samples.idle.push(await bench.idleBytes());
    const figures = {
      taskMs: median(samples.taskMs),
      firstByteMs: median(samples.firstByteMs),
      loopMs: median(samples.loopMs),
      filesMs: median(samples.filesMs),
      systemCallsPerSecond: median(samples.calls),
      idleMiB: median(samples.idle) / 1024 ** 2,
    };
    return { kernel, figures, samples };
  } finally {
    client.close();
  }
}

/** How long `npm ci` of a project took as a task; undefined where its packages are not to be had. */
export async function npmCi(daemon: TestDaemon, project: string): Promise<number | undefined> {
  await daemon.cli(['run', 'Build and test', '--workspace', project, '-j', '1', '--no-cache']);
  const shown = await daemon.cli(['show', '@last', '--json']);
  const view = JSON.parse(shown.stdout) as RunView;
  const task = view.tasks.find(
    ({ id, state }) => /install|npm-ci|^ci$/.test(id) && state === 'succeeded',
  );
  return task?.durationMs;
}

export const median = (values: readonly number[]) =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

class Bench {
  readonly #client: Client;
  readonly #daemon: TestDaemon;
  readonly #snapshot: string;

  constructor(client: Client, daemon: TestDaemon, snapshot: string) {
    this.#client = client;
    this.#daemon = daemon;
    this.#snapshot = snapshot;
  }

  async timed(): Promise<{ totalMs: number; firstByteMs: number }> {
    const startedAt = performance.now();
    const id = await this.#submit(['sh', '-c', 'echo first']);
    const end = this.#ended(id);
    const firstByteMs = (await this.#firstByteAt(id, end)) - startedAt;
    await end;
    return { totalMs: performance.now() - startedAt, firstByteMs };
  }

  async said(exec: string[]): Promise<string> {
    const id = await this.#submit(exec);
    const view = await this.#ended(id);
    const task = view.tasks[0];
    if (task?.state !== 'succeeded') throw new Error(`${exec[0] ?? ''}: ${task?.reason ?? ''}`);
    const params = { id, task: task.id };
    const pieces = await Array.fromAsync(this.#client.objects('taskLog', { params }));
    return pieces
      .map((piece) => (piece as { d?: string }).d ?? '')
      .join('')
      .trim();
  }

  async idleBytes(): Promise<number> {
    const tasks = Array.from({ length: idleSandboxes }, (_, n) => ({
      id: `t${n}`,
      tool: 'exec',
      args: ['sleep', '600'],
    }));
    const plan = { text: JSON.stringify({ version: 1, tasks }), file: 'plan.yaml' };
    const id = await this.#send({ plan, concurrency: idleSandboxes });
    try {
      let containers: string[] = [];
      while (containers.length < idleSandboxes) {
        await sleep(200);
        const { items } = await this.#client.call('auditList', { query: { run: id, limit: 500 } });
        containers = items.flatMap(({ record: { type, stage, obj } }) =>
          type === releaseType && stage === 'result' ? [obj?.['container'] ?? ''] : [],
        );
      }
      await sleep(2_000);
      return memoryOf(containers) / idleSandboxes;
    } finally {
      const body = { reason: 'measured' };
      await this.#client.call('runCancel', { params: { id }, body });
      await this.#ended(id);
    }
  }

  async #submit(exec: string[]): Promise<string> {
    return this.#send({ exec });
  }

  async #send(what: Partial<SubmitRun>): Promise<string> {
    const body = {
      intent: 'bench',
      snapshot: this.#snapshot,
      workspace: 'w',
      cache: false,
      ...what,
    };
    return (await this.#client.call('runSubmit', { body })).id;
  }

  async #ended(id: string): Promise<RunView> {
    const isLast = ({ type }: { type: string }) => type === 'run.closed';
    for await (const _ of this.#client.events('runEvents', { params: { id }, isLast }));
    const view = await this.#client.call('runShow', { params: { id } });
    if (!over.includes(view.state)) throw new Error(`${id} is ${view.state}`);
    return view;
  }

  /** When the file that the task's output is written to was seen to hold anything. */
  async #firstByteAt(id: string, end: Promise<unknown>): Promise<number> {
    const dir = join(this.#daemon.stateDir, 'output', id);
    const state = { isOver: false };
    void end.finally(() => (state.isOver = true));
    while (!state.isOver) {
      if (holdsSomething(dir)) return performance.now();
      await sleep(1);
    }
    return performance.now();
  }
}

/** The record that says that the task itself began. */
const releaseType = 'container.start';

function holdsSomething(dir: string): boolean {
  try {
    return readdirSync(dir).some((name) => statSync(join(dir, name)).size > 0);
  } catch {
    return false;
  }
}
