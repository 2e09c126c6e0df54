/**
 * Figures of the log: durable appends, and what verifying costs. Prints a table and keeps the raw
 * samples. Usage: node bench/log.ts [--records 200000]
 */
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { openLog } from '#daemon/audit/log.ts';
import { openSigner } from '#daemon/audit/tree/open-signer.ts';
import { Trail } from '#daemon/audit/tree/trail.ts';
import type { AnyEntry, Log } from '#daemon/audit/types.ts';
import { systemClock } from '#daemon/base/clock.ts';
import { newRunId } from '#daemon/base/ids.ts';
import { verifyLog } from '#verifier/verify.ts';

const { values } = parseArgs({
  options: {
    records: { type: 'string', default: '200000' },
    dir: { type: 'string', default: tmpdir() },
    verify: { type: 'string' },
  },
});
if (values.verify === undefined) await measure(values.dir, Number(values.records));
else await verifyAndPrint(values.verify);

async function measure(parent: string, records: number): Promise<void> {
  const dir = await mkdtemp(join(parent, 'orchestra-bench-log-'));

  try {
    const { log, trail, close } = await openSigned(dir);
    const signing = await signatures(log, trail, 200);
    const ofRun = await recordsOfRuns(log, 100);
    const single = await singleCaller(log, 2_000);
    const crowd = await manyCallers(log, 64, 20_000);
    await fill(log, records);
    await close();
    const verify = await verifyCost(dir);

    const opened = performance.now();
    const again = await openLog({ dir, version: 'bench', origin: 'bench' });
    const openMs = performance.now() - opened;
    await again.close();
    const begun = performance.now();
    const signed = await openSigned(dir);
    const openSignedMs = performance.now() - begun;
    await signed.close();
    await rm(join(dir, 'tile'), { recursive: true });
    const without = performance.now();
    const anew = await openSigned(dir);
    const openNoTilesMs = performance.now() - without;
    await anew.close();

    console.table({
      'one caller, p50 ms': round(quantile(single, 0.5)),
      'one caller, p99 ms': round(quantile(single, 0.99)),
      '64 callers, records/s': Math.round(crowd.perSecond),
      '64 callers, p99 ms': round(quantile(crowd.samples, 0.99)),
      'verify, records/s': Math.round(verify.perSecond),
      'verify, peak RSS in MiB': verify.rssMib,
      'records verified': verify.records,
      'open and fold the whole log, ms': Math.round(openMs),
      'the same with tree and signer, ms': Math.round(openSignedMs),
      'the same with all tiles gone, ms': Math.round(openNoTilesMs),
      'a signature over one more record, p50 ms': round(quantile(signing, 0.5)),
      'a signature over one more record, p99 ms': round(quantile(signing, 0.99)),
      'waited for the 40 records of a run, p50 ms': round(quantile(ofRun, 0.5)),
      'waited for the 40 records of a run, p99 ms': round(quantile(ofRun, 0.99)),
    });
    const folder = join(import.meta.dirname, 'results');
    await mkdir(folder, { recursive: true });
    const machine = {
      cpus: cpus().length,
      model: cpus()[0]?.model,
      load: loadavg(),
      node: process.version,
    };
    const result = {
      at: new Date().toISOString(),
      machine,
      single,
      crowd,
      verify,
      openMs,
      openSignedMs,
      openNoTilesMs,
      signing,
      ofRun,
    };
    await writeFile(join(folder, 'log.json'), `${JSON.stringify(result)}\n`);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** As a daemon has it: with the tree, and a signer in a process of its own. */
async function openSigned(dir: string) {
  const signer = openSigner({
    socket: undefined,
    stateDir: join(dir, 'state'),
    program: join(import.meta.dirname, '..', 'signer', 'main.ts'),
    onTrouble: (line) => void process.stderr.write(line),
  });
  const trail = new Trail({ dir, signer, clock: systemClock() });
  const log = await openLog({
    dir,
    version: 'bench',
    origin: 'bench',
    tree: trail.tree,
    check: (found) => trail.check(found),
    onBatch: (facts) => trail.grown(facts),
    onRecord: (record) => trail.fold(record),
  });
  await trail.begin(log);
  const close = async () => {
    await trail.close();
    await log.close();
  };
  return { log, trail, close };
}

async function signatures(log: Log, trail: Trail, count: number): Promise<number[]> {
  const samples: number[] = [];
  const run = newRunId();
  for (let i = 0; i < count; i += 1) {
    await log.append(entryOf(run, i));
    const started = performance.now();
    await trail.sign();
    samples.push(round(performance.now() - started));
  }
  return samples;
}

/** Ten records that each have to be durable before the next step, and thirty in six batches. */
async function recordsOfRuns(log: Log, count: number): Promise<number[]> {
  const samples: number[] = [];
  for (let i = 0; i < count; i += 1) {
    const run = newRunId();
    const started = performance.now();
    for (let n = 0; n < 10; n += 1) await log.append(entryOf(run, n));
    for (let n = 0; n < 6; n += 1) {
      await log.appendAll(Array.from({ length: 5 }, (_, at) => entryOf(run, at)));
    }
    samples.push(round(performance.now() - started));
  }
  return samples;
}

function entryOf(run: string, n: number): AnyEntry {
  return {
    type: 'task.started',
    run,
    obj: { task: `task-${n % 16}`, container: 'c'.repeat(64) },
    req: 'q-0123456789abcdef',
    pol: { hash: `sha256:${'d'.repeat(64)}`, rule: 'net.deny-all' },
    data: { attempt: n, spec: `sha256:${'a'.repeat(64)}` },
  };
}

async function singleCaller(log: Log, count: number): Promise<number[]> {
  const samples: number[] = [];
  const run = newRunId();
  for (let i = 0; i < count; i += 1) {
    const started = performance.now();
    await log.append(entryOf(run, i));
    samples.push(round(performance.now() - started));
  }
  return samples;
}

async function manyCallers(log: Log, callers: number, count: number) {
  const samples: number[] = [];
  const started = performance.now();
  let next = 0;
  const caller = async () => {
    const run = newRunId();
    while (next < count) {
      next += 1;
      const begun = performance.now();
      await log.append(entryOf(run, next));
      samples.push(round(performance.now() - begun));
    }
  };
  await Promise.all(Array.from({ length: callers }, caller));
  return { perSecond: (count / (performance.now() - started)) * 1000, samples };
}

async function fill(log: Log, count: number): Promise<void> {
  while (log.size < count) {
    const run = newRunId();
    const entries = Array.from({ length: 40 }, (_, n) => entryOf(run, n));
    await Promise.all(Array.from({ length: 50 }, () => log.appendAll(entries)));
  }
}

// In a process of its own, so that its memory is that of the verifier and nothing else.
async function verifyCost(dir: string) {
  const child = spawn(process.execPath, [import.meta.filename, '--verify', dir], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const out = (await Array.fromAsync(child.stdout)).join('');
  return JSON.parse(out) as { records: number; bytes: number; perSecond: number; rssMib: number };
}

async function verifyAndPrint(dir: string): Promise<void> {
  const started = performance.now();
  const verdict = await verifyLog(dir);
  const ms = performance.now() - started;
  if (verdict.exit === 1 || verdict.exit === 2) throw new Error(JSON.stringify(verdict.findings));
  const { records, bytes } = verdict;
  const rssMib = Math.round(process.resourceUsage().maxRSS / 1024);
  process.stdout.write(
    JSON.stringify({ records, bytes, perSecond: (records / ms) * 1000, rssMib }),
  );
}

function quantile(samples: readonly number[], q: number): number {
  return samples.toSorted((a, b) => a - b)[Math.floor(samples.length * q)] ?? NaN;
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
