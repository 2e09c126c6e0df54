/**
 * How soon a task starts, and how many of them: against `docker run`, `podman run`, dockerode,
 * bubblewrap and @anthropic-ai/sandbox-runtime, alternately in one run.
 * `node bench/start.ts [rounds] [latency|rate|chain …]`; raw samples go to `bench/results/start.json`.
 *
 * Ours is measured from the API call of one task (with workspace, policy, durable records and
 * output) to its closing record at the caller; the others from the call to the exit of one bare
 * `echo`. `warm`: a sandbox stands ready. `cold`: none may. `engine's word`: until the engine too
 * confirmed the exit on record, which a caller does not wait for.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { bundle } from '#setup/bundle.ts';
import { findEngine } from '#setup/engine/find.ts';
import { TestDaemon } from '#test/support/daemon.ts';
import { openCaller, stagesOf } from './start/one-task.ts';
import { image, openRivals, type Sample } from './start/rivals.ts';

const root = new URL('..', import.meta.url).pathname;
const rounds = Number(process.argv[2] ?? 50);
const parts = process.argv.length > 3 ? process.argv.slice(3) : ['latency', 'rate', 'chain'];
const file = join(root, 'bench/results/start.json');

await bundle(root);
const entry = join(root, 'bin/orchestrad.mjs');
const { socketPath: engineSocket } = await findEngine({ env: process.env });
if (engineSocket === undefined) throw new Error('the engine has no socket');
const dir = mkdtempSync(join(tmpdir(), 'orc-bench-start-'));
const workspace = join(dir, 'workspace');
mkdirSync(workspace);
writeFileSync(join(workspace, 'package.json'), '{"name":"bench"}\n');
writeFileSync(join(dir, 'cold.yaml'), 'slots_ready: 0\n');

await using warmDaemon = await TestDaemon.start([], entry);
const warm = await openCaller(warmDaemon.socket, workspace, join(dir, 'warm.memo'));

const results = JSON.parse(readOr(file, '{}')) as Record<string, unknown>;
results['machine'] = { kernel: release(), cores: cpus().length, load: loadavg() };
if (parts.includes('latency')) results['latency'] = await latency();
if (parts.includes('rate')) results['rate'] = await rate();
if (parts.includes('chain')) results['chain'] = await chain();
writeFileSync(file, `${JSON.stringify(results, undefined, 1)}\n`);
warm.close();
// Nothing is disposed of by an exit.
await warmDaemon[Symbol.asyncDispose]();
process.exit(0);

async function latency() {
  await using coldDaemon = await TestDaemon.start(['--config', join(dir, 'cold.yaml')], entry);
  const cold = await openCaller(coldDaemon.socket, workspace, join(dir, 'cold.memo'));
  const { rivals, absent } = await openRivals(
    engineSocket ?? '',
    join(tmpdir(), 'orc-bench-cache'),
  );
  const samples = new Map<string, Sample[]>();
  const words: number[] = [];
  const stages = new Map<string, number[]>();
  const add = (name: string, sample: Sample) => {
    samples.set(name, [...(samples.get(name) ?? []), sample]);
  };
  await warm.run(['echo', 'x']);
  await cold.run(['echo', 'x']);
  for (let round = 0; round < rounds; round += 1) {
    for (const rival of rivals) {
      add(rival.name, await rival.run());
      await sleep(30);
    }
    await slotsReady();
    const one = await warm.run(['echo', 'x']);
    add('warm', one);
    for (const [stage, ms] of stagesOf(one.records)) {
      stages.set(stage, [...(stages.get(stage) ?? []), ms]);
    }
    words.push(one.totalMs + (await confirmedAfter(one.records)));
    add('cold', await cold.run(['echo', 'x']));
    await sleep(100);
  }
  cold.close();
  const base = median((samples.get('docker run') ?? []).map(({ totalMs }) => totalMs));
  const table = [...samples].map(([name, all]) => ({
    name,
    ...figures(
      all.map(({ totalMs }) => totalMs),
      base,
    ),
    first_byte: figures(
      all.map(({ firstByteMs }) => firstByteMs),
      base,
    ),
  }));
  const word = { name: "warm, with the engine's word", ...figures(words, base) };
  console.table(
    [...table, { ...word, first_byte: undefined }].map(({ name, first_byte: first, ...row }) => ({
      name,
      ...row,
      'first byte': first?.median,
      'first / docker run': first?.ratio,
    })),
  );
  const where = [...stages].map(([stage, ms]) => [stage, round1(median(ms))]);
  console.log(where.map(([stage, ms]) => `${String(stage).padEnd(28)} ${ms} ms`).join('\n'));
  return {
    rounds,
    table,
    word,
    absent,
    stages: where,
    samples: Object.fromEntries(samples),
    words,
  };
}

/** Tasks a second: 200 that depend on nothing, eight at a time. */
async function rate() {
  const tasks = Array.from({ length: 200 }, (_, n) => ({
    id: `t${n}`,
    tool: 'exec',
    args: ['true'],
  }));
  const ours: number[] = [];
  const theirs: number[] = [];
  const flags = `-H unix://${engineSocket} run --rm --network none ${image} true`;
  for (let round = 0; round < 3; round += 1) {
    ours.push(await plan(tasks, 8));
    await sleep(2_000);
    const started = performance.now();
    execFileSync('sh', ['-c', `seq 200 | xargs -P8 -I{} docker ${flags}`], { stdio: 'ignore' });
    theirs.push(performance.now() - started);
    await sleep(2_000);
  }
  const perSecond = (ms: number[]) => round1(200_000 / median(ms));
  const row = {
    ours_per_s: perSecond(ours),
    xargs_docker_run_per_s: perSecond(theirs),
    ratio: round2(median(theirs) / median(ours)),
  };
  console.table([row]);
  return { ...row, ours_ms: ours, xargs_ms: theirs };
}

/** What fifty tasks of a second each cost on top, one after the other. */
async function chain() {
  const tasks = Array.from({ length: 50 }, (_, n) => ({
    id: `t${n}`,
    tool: 'exec',
    args: ['sleep', '1'],
    ...(n === 0 ? {} : { deps: [`t${n - 1}`] }),
  }));
  const ms = await plan(tasks, 8);
  const row = { total_ms: Math.round(ms), ratio: round2(ms / 50_000, 3) };
  console.table([row]);
  return row;
}

async function plan(tasks: readonly object[], concurrency: number): Promise<number> {
  return warm.runPlan(JSON.stringify({ version: 1, tasks }), concurrency);
}

async function slotsReady(): Promise<void> {
  for (;;) {
    const { checks } = await warm.client.call('doctor');
    const ready = /(\d+) of \d+ stand ready/.exec(
      checks.find(({ name }) => name === 'start')?.message ?? '',
    );
    if (ready === null) throw new Error('this machine has no ready slots');
    if (Number(ready[1]) > 0) break;
    await sleep(20);
  }
  // What makes the last one ready is not charged to the next task.
  await sleep(150);
}

/** How long after the closing record the engine's word came, ms. */
async function confirmedAfter(
  records: readonly { type: string; mono: number; obj?: object | undefined }[],
) {
  const id = (
    records.find(({ type }) => type === 'container.exited')?.obj as { container?: string }
  )?.container;
  const closed = records.at(-1)?.mono ?? 0;
  for (let tries = 0; tries < 200; tries += 1) {
    const { items } = await warm.client.call('auditList', {
      query: { type: 'container.confirmed', last: 5 },
    });
    const found = items.find(({ record }) => record.obj?.['container'] === id);
    if (found) return Math.max(0, (found.record.mono - closed) / 1000);
    await sleep(10);
  }
  throw new Error('the engine did not confirm an exit');
}

function figures(values: readonly number[], base: number) {
  return {
    median: round1(median(values)),
    p99: round1(quantile(values, 0.99)),
    min: round1(Math.min(...values)),
    ratio: round2(median(values) / base, 3),
  };
}

function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;
}

function round1(value: number): number {
  return Math.round(value * 10) / 10;
}

function round2(value: number, digits = 2): number {
  return Number(value.toFixed(digits));
}

function readOr(path: string, otherwise: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return otherwise;
  }
}
