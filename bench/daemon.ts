/**
 * The daemon and the CLI as they start: time until `orchestrad` answers `/readyz`, its memory when
 * idle, and `orchestra version` against `node -e 0`, alternately in one run, on the bundle that
 * `npm pack` ships. `node bench/daemon.ts [rounds]`; raw samples go to `bench/results/daemon.json`.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { bundle } from '#setup/bundle.ts';
import { TestDaemon } from '#test/support/daemon.ts';

const root = new URL('..', import.meta.url).pathname;
const rounds = Number(process.argv[2] ?? 15);
const idleMs = 5_000;

const median = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;

function timed(args: readonly string[], cwd: string): number {
  const started = performance.now();
  const { status } = spawnSync(process.execPath, args, { cwd, stdio: 'ignore' });
  if (status !== 0) throw new Error(`${args.join(' ')} ended with ${status}`);
  return performance.now() - started;
}

function residentBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1024;
}

await bundle(root);
const dir = mkdtempSync(join(tmpdir(), 'orc-bench-'));
const samples = {
  nodeMs: [] as number[],
  versionMs: [] as number[],
  readyMs: [] as number[],
  idleBytes: [] as number[],
};
for (let round = 0; round < rounds; round += 1) {
  samples.nodeMs.push(timed(['-e', '0'], dir));
  samples.versionMs.push(timed([join(root, 'bin/orchestra.mjs'), 'version'], dir));
}
for (let round = 0; round < Math.ceil(rounds / 3); round += 1) {
  const started = performance.now();
  await using daemon = await TestDaemon.start([], join(root, 'bin/orchestrad.mjs'));
  samples.readyMs.push(performance.now() - started);
  await sleep(idleMs);
  samples.idleBytes.push(residentBytes(daemon.pid));
}
const figures = {
  versionRatio: median(samples.versionMs) / median(samples.nodeMs),
  readyMs: median(samples.readyMs),
  idleMiB: median(samples.idleBytes) / 1024 ** 2,
};
mkdirSync(join(root, 'bench/results'), { recursive: true });
writeFileSync(
  join(root, 'bench/results/daemon.json'),
  `${JSON.stringify({ at: new Date().toISOString(), load: loadavg(), figures, samples }, null, 2)}\n`,
);
process.stdout.write(
  `orchestra version / node -e 0   ${figures.versionRatio.toFixed(2)} x (${median(samples.versionMs).toFixed(0)} ms)\n` +
    `orchestrad ready after          ${figures.readyMs.toFixed(0)} ms\n` +
    `orchestrad idle                 ${figures.idleMiB.toFixed(0)} MiB\n`,
);
rmSync(dir, { recursive: true });
