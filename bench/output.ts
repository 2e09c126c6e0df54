/**
 * 1 GiB of output by `orchestra` against `docker run` to a file, alternately in one run: zeros, which
 * come in large pieces, and lines of text, which come in small ones.
 *
 * `exec` is the whole command as a user waits for it, its output streamed into a file: start of the
 * CLI, upload of an empty workspace, durable records, the output kept and hashed by the daemon and
 * then sent to the CLI. `task` is the same without a reader: from the submission of the run to its
 * closing record. `docker run` comes without a log driver, which is its fastest way, and once as it
 * is by default.
 * `node bench/output.ts [rounds]`; raw samples go to `bench/results/output.json`.
 */
import { spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { bundle } from '#setup/bundle.ts';
import { findEngine } from '#setup/engine/find.ts';
import type { RunView } from '#contract/run.ts';
import { TestDaemon } from '#test/support/daemon.ts';
import { loudDaemon } from '#test/support/loud.ts';

const root = new URL('..', import.meta.url).pathname;
const rounds = Number(process.argv[2] ?? 5);
const bytes = 2 ** 30;
const commands: Record<string, string[]> = {
  zeros: ['head', '-c', String(bytes), '/dev/zero'],
  lines: [
    'sh',
    '-c',
    `yes 'a line of ordinary text as a build prints it, of sixty bytes' | head -c ${bytes}`,
  ],
};

const { host } = await findEngine({ env: process.env });
const dir = mkdtempSync(join(tmpdir(), 'orc-bench-'));
const project = mkdtempSync(join(tmpdir(), 'orc-bench-'));
await bundle(root);
const entries = { cli: join(root, 'bin/orchestra.mjs'), daemon: join(root, 'bin/orchestrad.mjs') };
await using daemon = await TestDaemon.start(loudDaemon(dir, '2GiB'), entries.daemon);
process.env['ORCHESTRA_HOST'] = `unix://${daemon.socket}`;

let made = 0;

/** Runs a program with its output into a file of its own, which stays: removing would be charged to the next. */
async function timed(program: string, args: readonly string[]): Promise<number> {
  const file = join(dir, `out-${(made += 1)}`);
  const out = openSync(file, 'w');
  const started = performance.now();
  const child = spawn(program, args, { stdio: ['ignore', out, 'inherit'], cwd: project });
  const [code] = (await once(child, 'exit')) as [number];
  const took = performance.now() - started;
  closeSync(out);
  const { size } = statSync(file);
  rmSync(file);
  if (code !== 0 || size !== bytes) throw new Error(`${program}: exit ${code}, ${size} bytes`);
  return took;
}

const docker = (driver: string, command: readonly string[]) => {
  const flags = ['--rm', '--network', 'none', '--log-driver', driver];
  return timed('docker', ['-H', host, 'run', ...flags, 'orchestra/node:20-assembled', ...command]);
};

const exec = (command: readonly string[]) =>
  timed(process.execPath, [entries.cli, 'exec', '--', ...command]);

async function task([tool = '', ...args]: readonly string[]): Promise<number> {
  const file = join(dir, 'plan.json');
  const only =
    tool === 'sh'
      ? { id: 'loud', tool, args }
      : { id: 'loud', tool: 'sh', args: ['-c', `exec ${[tool, ...args].join(' ')}`] };
  writeFileSync(file, JSON.stringify({ version: 1, tasks: [only] }));
  const ran = await daemon.cli(['run', '--plan', file, '--detach', '--no-cache'], {
    cwd: project,
    program: entries.cli,
  });
  for (;;) {
    const answer = await daemon.ask('GET', `/v1/runs/${ran.stdout.trim()}`);
    const run = JSON.parse(answer.text) as RunView;
    if (run.durationMs !== undefined) {
      if (run.tasks[0]?.outputBytes !== bytes) throw new Error(answer.text);
      return run.durationMs;
    }
    await sleep(250);
  }
}

const samples: Record<string, Record<string, number[]>> = {};
const note = (name: string, way: string, ms: number): void => {
  ((samples[name] ??= {})[way] ??= []).push(Math.round(ms));
  console.log(name, way, Math.round(ms));
};
function median(values: number[] = []): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(middle)] ?? 0) + (sorted[Math.ceil(middle)] ?? 0)) / 2;
}

/** Throughput of ours over that of `docker run`, from times taken next to each other. */
function ratios(): object {
  const round2 = (value: number) => Math.round(value * 100) / 100;
  const paired = (ways: Record<string, number[]>, way: string) =>
    round2(median(ways['docker']?.map((ms, i) => ms / (ways[way]?.[i] ?? Number.NaN))));
  return Object.fromEntries(
    Object.entries(samples).map(([name, ways]) => {
      return [name, { task: paired(ways, 'task'), exec: paired(ways, 'exec'), target: 0.7 }];
    }),
  );
}

/** After each round: a bench that is stopped has said what it saw. */
function keep(): void {
  const about = {
    bytes,
    rounds: load.length - 1,
    cpus: cpus().length,
    node: process.version,
    load,
  };
  const found = { ...about, ratios: ratios(), ms: samples };
  writeFileSync(join(root, 'bench/results/output.json'), `${JSON.stringify(found, null, 2)}\n`);
  console.log(found.ratios);
}

await exec(commands['zeros'] ?? []);
const load = [loadavg()[0]];
for (let round = 0; round < rounds; round += 1) {
  for (const [name, command] of Object.entries(commands)) {
    note(name, 'docker', await docker('none', command));
    note(name, 'task', await task(command));
    note(name, 'exec', await exec(command));
  }
  load.push(loadavg()[0]);
  keep();
}
for (const [name, command] of Object.entries(commands)) {
  note(name, 'dockerByDefault', await docker('json-file', command));
}
keep();
rmSync(dir, { recursive: true });
rmSync(project, { recursive: true });
