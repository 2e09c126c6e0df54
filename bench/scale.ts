/**
 * Plans of 10,000 tasks through everything below the daemon's edge, with an engine whose containers
 * do nothing and a log at full durability: what is left is what Orchestra itself costs a task. Each
 * case in a process of its own, so that its memory is its own. Then the start of a daemon on the log
 * that such a run left, complete and cut short.
 * `node bench/scale.ts [--tasks 10000] [--only chain:1,layers:32] [--profile DIR]`
 */
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { openLog } from '#daemon/audit/log.ts';
import { RunStates } from '#daemon/runs/state.ts';
import { openScale, planOf, shapes, type Shape } from '#test/support/scale.ts';

const { values } = parseArgs({
  options: {
    tasks: { type: 'string', default: '10000' },
    only: { type: 'string' },
    profile: { type: 'string' },
    dir: { type: 'string', default: tmpdir() },
    case: { type: 'string' },
    state: { type: 'string', default: '' },
    stop: { type: 'string' },
  },
});

type Case = { shape: Shape; jobs: number };
type Ran = {
  tasks: number;
  planMs: number;
  ms: number;
  cpuMs: number;
  records: number;
  rssMib: number;
  state: string;
};
type Opened = { logMs: number; roomsMs: number; records: number; rssMib: number };

if (values.case === undefined) await measure();
else if (values.case === 'open') await report(openedAgain(values.state));
else await report(ran(values.state, parseCase(values.case), Number(values.tasks)));

async function measure(): Promise<void> {
  const cases =
    values.only?.split(',').map(parseCase) ??
    shapes.flatMap((shape) => [1, 8, 32].map((jobs) => ({ shape, jobs })));
  const results: Record<string, Record<string, number | string>> = {};
  for (const { shape, jobs } of cases) {
    const name = `${shape}:${jobs}`;
    const dir = await mkdtemp(join(values.dir, 'orchestra-bench-scale-'));
    try {
      const state = join(dir, 'state');
      const ran = await child<Ran>(name, ['--case', name, '--state', state]);
      const opened = await child<Opened>(`${name}-open`, ['--case', 'open', '--state', state]);
      results[name] = {
        state: ran.state,
        'ms/task': round(ran.ms / ran.tasks),
        'cpu ms/task': round(ran.cpuMs / ran.tasks),
        'tasks/s': Math.round((ran.tasks / ran.ms) * 1000),
        'accepted after ms': Math.round(ran.planMs),
        'records/task': round(ran.records / ran.tasks),
        'peak MiB': ran.rssMib,
        'open log ms': Math.round(opened.logMs),
        'open rooms ms': Math.round(opened.roomsMs),
      };
    } finally {
      await rm(dir, { recursive: true, force: true, maxRetries: 3 });
    }
  }
  const cut = await cutShort({ shape: 'layers', jobs: 32 });
  console.table(results);
  console.table({ 'started on a run cut short': cut });
  const machine = {
    cpus: cpus().length,
    model: cpus()[0]?.model,
    load: loadavg(),
    node: process.version,
  };
  const folder = join(import.meta.dirname, 'results');
  await mkdir(folder, { recursive: true });
  const result = {
    at: new Date().toISOString(),
    machine,
    tasks: Number(values.tasks),
    results,
    cut,
  };
  await writeFile(join(folder, 'scale.json'), `${JSON.stringify(result)}\n`);
}

/** A daemon is killed when nine in ten tasks are done; how long does the next one take to be there? */
async function cutShort({ shape, jobs }: Case): Promise<Record<string, number>> {
  const dir = await mkdtemp(join(values.dir, 'orchestra-bench-scale-'));
  try {
    const state = join(dir, 'state');
    const stop = Math.floor(Number(values.tasks) * 0.9);
    const name = `${shape}:${jobs}`;
    await child('cut', ['--case', name, '--state', state, '--stop', String(stop)]);
    const opened = await child<Opened>('cut-open', ['--case', 'open', '--state', state]);
    return {
      records: opened.records,
      'open log ms': Math.round(opened.logMs),
      'open rooms ms': Math.round(opened.roomsMs),
      'peak MiB': opened.rssMib,
    };
  } finally {
    await rm(dir, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** One run, from its submission to its closing record. */
async function ran(stateDir: string, { shape, jobs }: Case, count: number): Promise<Ran> {
  const tasks = planOf(shape, count);
  let left = values.stop === undefined ? Infinity : Number(values.stop);
  await using scale = await openScale({
    stateDir,
    programs: () => {
      left -= 1;
      if (left === 0) process.kill(process.pid, 'SIGKILL');
      return {};
    },
  });
  const { deps, runs } = scale.rooms;
  const before = deps.log.size;
  const cpu = process.cpuUsage();
  const begun = performance.now();
  const id = await scale.submit(tasks, jobs);
  while (deps.states.find(id)?.state !== 'running' && runs.open(id) !== undefined) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const accepted = performance.now();
  await runs.open(id)?.done;
  const ended = performance.now();
  const { user, system } = process.cpuUsage(cpu);
  return {
    tasks: count,
    planMs: accepted - begun,
    ms: ended - accepted,
    cpuMs: (user + system) / 1000,
    records: deps.log.size - before,
    rssMib: peakMib(),
    state: deps.states.find(id)?.state ?? 'unknown',
  };
}

/** The log alone with its fold, then all rooms, as a daemon does on start. */
async function openedAgain(stateDir: string): Promise<Opened> {
  const states = new RunStates();
  const begun = performance.now();
  const log = await openLog({
    dir: join(stateDir, 'audit'),
    version: 'bench',
    origin: 'bench',
    onRecord: (record) => states.fold(record),
  });
  const logMs = performance.now() - begun;
  const records = log.size;
  await log.close();
  const again = performance.now();
  const scale = await openScale({ stateDir });
  const roomsMs = performance.now() - again;
  const rssMib = peakMib();
  await scale[Symbol.asyncDispose]();
  return { logMs, roomsMs, records, rssMib };
}

async function child<T>(name: string, args: string[]): Promise<T> {
  const profile =
    values.profile === undefined
      ? []
      : [
          '--cpu-prof',
          `--cpu-prof-dir=${values.profile}`,
          `--cpu-prof-name=${name.replace(':', '-')}.cpuprofile`,
        ];
  // As `bin/orchestrad.mjs` starts it.
  const flags = ['--max-semi-space-size=16', ...profile];
  const argv = [...flags, import.meta.filename, '--tasks', values.tasks, ...args];
  const running = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'inherit'] });
  const out = (await Array.fromAsync(running.stdout)).join('');
  // One that was told to kill itself has nothing to say.
  return (out === '' ? undefined : JSON.parse(out)) as T;
}

async function report(result: Promise<unknown>): Promise<void> {
  process.stdout.write(JSON.stringify(await result));
}

function peakMib(): number {
  return Math.round(process.resourceUsage().maxRSS / 1024);
}

function parseCase(text: string): Case {
  const [shape, jobs] = text.split(':');
  return { shape: shape as Shape, jobs: Number(jobs) };
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
