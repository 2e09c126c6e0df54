/**
 * What it costs to take one run of 200 records out of a log of a million, in which its records lie
 * between those of a hundred others: all lines, all proofs, packed as a tar; how long anything else
 * waited meanwhile; and the same figures for reading the log by filters. Raw figures go to
 * `bench/results/extract.json`. `node bench/extract.ts [--records 1000000] [--keep DIR]`
 */
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Extractor } from '#daemon/audit/extract/extractor.ts';
import { openIndex, type LogIndex } from '#daemon/audit/index-db.ts';
import { openLog, type LogOptions } from '#daemon/audit/log.ts';
import { searchSegments } from '#daemon/audit/reading/search-segments.ts';
import { Trail } from '#daemon/audit/tree/trail.ts';
import type { AnyEntry, Log } from '#daemon/audit/types.ts';
import { systemClock } from '#daemon/base/clock.ts';
import { newRunId } from '#daemon/base/ids.ts';
import { NearSigner } from '#test/support/signing.ts';
import { verifyPath } from '#verifier/verify-path.ts';

const { values } = parseArgs({
  options: {
    records: { type: 'string', default: '1000000' },
    dir: { type: 'string', default: tmpdir() },
    /** Where a log is kept for the next time; made there where it is missing. */
    keep: { type: 'string' },
  },
});
const recordsARun = 200;
const runsAtOnce = 100;
const extracts = 30;
const actor = { kind: 'user', auth: 'peer', uid: 1000, name: 'bench' } as const;

const place = values.keep ?? (await mkdtemp(join(values.dir, 'orchestra-bench-extract-')));
try {
  await mkdir(place, { recursive: true });
  await measure(place, Number(values.records));
} finally {
  if (values.keep === undefined) await rm(place, { recursive: true, force: true });
}

async function measure(state: string, records: number): Promise<void> {
  const dir = join(state, 'audit');
  const clock = systemClock();
  const origin = 'bench/orchestra/extract';
  const signer = new NearSigner({ dir: join(state, 'signer') });
  const trail = new Trail({ dir, signer, clock });
  const options: LogOptions = {
    dir,
    version: 'bench',
    origin,
    clock,
    tree: trail.tree,
    check: (found) => trail.check(found),
    onBatch: (facts) => trail.grown(facts),
    onRecord: (record) => trail.fold(record),
  };
  const log = await openLog(options);
  await trail.begin(log);
  const runs = await fill(log, records);
  const index = await openIndex({ dir, log });
  while (index.size < log.size) await sleep(20);
  const chosen = runs.length > 0 ? runs : await someRuns(index);
  await trail.sign();

  const extractor = new Extractor({
    dir,
    log,
    index,
    checkpoints: trail,
    version: 'bench',
    now: () => clock.now(),
  });
  const delay = monitorEventLoopDelay({ resolution: 1 });
  const samples: number[] = [];
  let bytes = 0;
  let last = Buffer.alloc(0);
  for (let n = 0; n < extracts; n += 1) {
    const run = chosen[Math.floor((n * chosen.length) / extracts)] ?? '';
    delay.enable();
    const started = performance.now();
    const blocks = await Array.fromAsync(await extractor.extract(run, actor));
    samples.push(performance.now() - started);
    delay.disable();
    last = Buffer.concat(blocks as Buffer[]);
    bytes += last.length;
  }
  const file = join(state, 'last.tar');
  await writeFile(file, last);
  const verdict = await verifyPath(file, { keys: trail.keys.map(({ vkey }) => vkey) });
  if (verdict.exit !== 0 || verdict.records !== recordsARun) {
    throw new Error(`what was extracted does not hold: ${JSON.stringify(verdict.findings)}`);
  }
  const figures = {
    records: log.size,
    'of one run': verdict.records,
    'extract, p50 ms': round(quantile(samples, 0.5)),
    'extract, p95 ms': round(quantile(samples, 0.95)),
    'extract, first ms': round(samples[0] ?? Number.NaN),
    'bytes of one': Math.round(bytes / extracts),
    'others waited, p99 ms': round(delay.percentile(99) / 1e6),
    'others waited, most ms': round(delay.max / 1e6),
    ...(await reading(index, log, chosen)),
    'bytes of index a record': Math.round((await stat(join(dir, 'index.sqlite'))).size / log.size),
  };
  console.table(figures);
  const machine = { cpus: cpus().length, model: cpus()[0]?.model, load: loadavg() };
  const folder = join(import.meta.dirname, 'results');
  await mkdir(folder, { recursive: true });
  const result = { at: new Date().toISOString(), machine, node: process.version, figures, samples };
  await writeFile(join(folder, 'extract.json'), `${JSON.stringify(result)}\n`);
  await index.close();
  await trail.close();
  await log.close();
}

/** One question of each kind, a page of 50. */
async function reading(index: LogIndex, log: Log, runs: readonly string[]) {
  const ask = async (name: string, question: () => Promise<unknown>) => {
    const started = performance.now();
    await question();
    return [`${name}, ms`, round(performance.now() - started)] as const;
  };
  const run = runs[Math.floor(runs.length / 2)] ?? '';
  return Object.fromEntries([
    await ask('page of a run', () => index.query({ run, limit: 50 })),
    await ask('page of a type', () => index.query({ type: 'run.closed', limit: 50 })),
    await ask('newest page', () => index.query({ order: 'newest', limit: 50 })),
    await ask('page of a rare actor', () => index.query({ actor: 'bench', limit: 50 })),
    await ask('page of nobody', () => index.query({ actor: 'nobody', limit: 50 })),
    await ask('page of a time that was not', () => index.query({ until: 0, limit: 50 })),
    await ask('page of a text, 20,000 lines', () => index.query({ text: 'no such', limit: 50 })),
    await ask('20,000 lines of segments', () =>
      searchSegments({ log, index }, { actor: 'nobody', limit: 50 }),
    ),
    await ask('stats', () => index.stats()),
  ]);
}

async function someRuns(index: LogIndex): Promise<string[]> {
  const found: string[] = [];
  for (let cursor: number | undefined, n = 0; n < extracts; n += 1) {
    const page = await index.query({ type: 'run.closed', limit: 50, cursor });
    found.push(...page.lines.map(({ record }) => record.run ?? ''));
    cursor = page.next;
    if (cursor === undefined) break;
  }
  return found;
}

/** Runs in each other's way: a record of the one, then one of the next. Answers those that ended. */
async function fill(log: Log, count: number): Promise<string[]> {
  const ended: string[] = [];
  while (log.size < count) {
    const runs = Array.from({ length: runsAtOnce }, () => newRunId());
    for (let n = 0; n < recordsARun; n += 1) {
      await Promise.all(runs.map((run) => log.append(entryOf(run, n))));
    }
    ended.push(...runs);
  }
  return ended;
}

function entryOf(run: string, n: number): AnyEntry {
  if (n === recordsARun - 1) {
    const data = { outcome: 'succeeded', artifacts: 0, duration_ms: 1, exit_code: 0, reason: '' };
    return { type: 'run.closed', run, data } as AnyEntry;
  }
  const digest = (letter: string) => `sha256:${letter.repeat(64)}` as const;
  return {
    type: 'task.started',
    run,
    obj: { task: `task-${n % 16}`, container: 'c'.repeat(64) },
    req: 'q-0123456789abcdef',
    pol: { hash: digest('d'), rule: 'net.deny-all' },
    data: { attempt: n, spec: digest('a') },
  };
}

function quantile(samples: readonly number[], q: number): number {
  return samples.toSorted((a, b) => a - b)[Math.floor(samples.length * q)] ?? Number.NaN;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
