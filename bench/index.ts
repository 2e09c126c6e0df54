/**
 * The index, deleted and built again from a log of a million records, beside a daemon's event loop:
 * how long it takes, how much memory, and how long anything else had to wait meanwhile. Then what a
 * question about one run costs. Raw figures go to `bench/results/index.json`.
 * `node bench/index.ts [--records 1000000]`
 */
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { openIndex } from '#daemon/audit/index-db.ts';
import { openLog } from '#daemon/audit/log.ts';
import type { AnyEntry } from '#daemon/audit/types.ts';
import { newRunId } from '#daemon/base/ids.ts';

const { values } = parseArgs({
  options: {
    records: { type: 'string', default: '1000000' },
    dir: { type: 'string', default: tmpdir() },
    /** A log that is there already: its index is removed, and nothing else is changed. */
    log: { type: 'string' },
    build: { type: 'string' },
  },
});
const identity = { version: 'bench', origin: 'bench' };
const recordsARun = 200;

if (values.build === undefined) await measure();
else process.stdout.write(JSON.stringify(await build(values.build)));

async function measure(): Promise<void> {
  const dir = values.log ?? (await mkdtemp(join(values.dir, 'orchestra-bench-index-')));
  try {
    if (values.log === undefined) await fill(dir, Number(values.records));
    for (const suffix of ['', '-wal', '-shm']) {
      await rm(join(dir, `index.sqlite${suffix}`), { force: true });
    }
    const argv = [import.meta.filename, '--build', dir];
    const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'inherit'] });
    const built = JSON.parse((await Array.fromAsync(child.stdout)).join('')) as Built;
    console.table(built);
    const machine = { cpus: cpus().length, model: cpus()[0]?.model, load: loadavg() };
    const folder = join(import.meta.dirname, 'results');
    await mkdir(folder, { recursive: true });
    const result = { at: new Date().toISOString(), machine, node: process.version, built };
    await writeFile(join(folder, 'index.json'), `${JSON.stringify(result)}\n`);
  } finally {
    if (values.log === undefined) await rm(dir, { recursive: true, force: true });
  }
}

type Built = Record<string, number>;

/** In a process of its own, so that its memory is that of the log and the index. */
async function build(dir: string): Promise<Built> {
  const begun = performance.now();
  const log = await openLog({ dir, ...identity });
  const openMs = performance.now() - begun;
  const rssBefore = process.resourceUsage().maxRSS;
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const started = performance.now();
  const index = await openIndex({ dir, log });
  while (index.size < log.size) await sleep(20);
  const rebuildMs = performance.now() - started;
  delay.disable();
  const rssAfter = process.resourceUsage().maxRSS;
  const { lines } = await index.query({ type: 'run.closed', order: 'newest', limit: 100 });
  const samples: number[] = [];
  for (const { record } of lines) {
    const asked = performance.now();
    await index.query({ run: record.run, limit: 100 });
    samples.push(performance.now() - asked);
  }
  const built = {
    records: log.size,
    'open the log, s': round(openMs / 1000),
    'rebuild the index, s': round(rebuildMs / 1000),
    'records/s': Math.round(log.size / (rebuildMs / 1000)),
    'peak RSS before, MiB': Math.round(rssBefore / 1024),
    'peak RSS after, MiB': Math.round(rssAfter / 1024),
    'others waited, p99 ms': round(delay.percentile(99) / 1e6),
    'others waited, most ms': round(delay.max / 1e6),
    'bytes a record': Math.round((await stat(join(dir, 'index.sqlite'))).size / log.size),
    'a page of one run, p50 ms': round(
      samples.toSorted((a, b) => a - b)[samples.length >> 1] ?? Number.NaN,
    ),
  };
  await index.close();
  await log.close();
  return built;
}

async function fill(dir: string, count: number): Promise<void> {
  const log = await openLog({ dir, ...identity });
  while (log.size < count) {
    await Promise.all(Array.from({ length: 20 }, () => log.appendAll(entriesOf(newRunId()))));
  }
  await log.close();
}

/** As many and as long as those of a run of some fifteen tasks. */
function entriesOf(run: string): AnyEntry[] {
  const digest = (letter: string) => `sha256:${letter.repeat(64)}` as const;
  const entries: AnyEntry[] = [];
  for (let n = 0; n < recordsARun - 1; n += 1) {
    entries.push({
      type: 'task.started',
      run,
      obj: { task: `task-${n % 16}`, container: 'c'.repeat(64) },
      req: 'q-0123456789abcdef',
      pol: { hash: digest('d'), rule: 'net.deny-all' },
      data: { attempt: n, spec: digest('a') },
    });
  }
  const data = { outcome: 'succeeded', artifacts: 0, duration_ms: 1, exit_code: 0, reason: '' };
  return [...entries, { type: 'run.closed', run, data } as AnyEntry];
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
