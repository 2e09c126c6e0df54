/**
 * The example project by `orchestra run` against the same commands with one `docker run` a task,
 * by a shell script on a plain writable copy with the same offline cache; and, for what the machine
 * itself can give, the same script with the tasks after `npm ci` side by side. Alternately, in one
 * run, with the programs that the npm package ships.
 * `node bench/main-job.ts [rounds]`; raw samples go to `bench/results/main-job.json`. Set-up (engine,
 * image, packages) is done before and not part of any figure; measured is the wall time of the
 * whole command as a user waits for it, start of the CLI and upload of the workspace included.
 */
import { execFileSync, spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { bundle } from '#setup/bundle.ts';
import { findEngine } from '#setup/engine/find.ts';
import { TestDaemon } from '#test/support/daemon.ts';

const root = new URL('..', import.meta.url).pathname;
const rounds = Number(process.argv[2] ?? 5);
const tasks = [
  'npm ci --offline --no-audit --no-fund',
  'npm run build',
  'npm run lint',
  'npm run typecheck',
  'npm test',
];

const engine = await findEngine({ env: process.env });
const image = 'orchestra/node:20-assembled';
await bundle(root);
const entries = { cli: join(root, 'bin/orchestra.mjs'), daemon: join(root, 'bin/orchestrad.mjs') };
await using daemon = await TestDaemon.start([], entries.daemon);
const project = mkdtempSync(join(tmpdir(), 'orc-bench-'));
cpSync(join(root, 'examples/typescript-project'), project, {
  recursive: true,
  filter: (path) => !/\/(?:node_modules|runs|dist)(?:\/|$)/.test(path),
});

async function orchestra(concurrency: number): Promise<number> {
  const started = performance.now();
  const args = [
    'run',
    'Build and test',
    '--workspace',
    project,
    '-j',
    String(concurrency),
    '--no-cache',
  ];
  const ran = await daemon.cli(args, { program: entries.cli });
  if (ran.code !== 0) throw new Error(ran.stderr + ran.stdout);
  return performance.now() - started;
}

function makeScript(cache: string, name: string, joined: (lines: string[]) => string): string {
  const run = (command: string, work: string) =>
    `docker -H ${engine.host} run --rm --network none -u 1000:1000 -e CI=true -e npm_config_cache=/cache ` +
    `-v ${work}:/workspace -v ${cache}:/cache -w /workspace ${image} ${command}`;
  const file = join(project, '..', `orc-bench-${process.pid}-${name}.sh`);
  const lines = tasks.map((command) => run(command, '"$1"'));
  writeFileSync(file, `#!/bin/sh\nset -e\n${joined(lines)}\n`, { mode: 0o755 });
  return file;
}

// Nothing is removed between the rounds: ext4 creates files slowly for a while after many were
// removed, and that would be charged to whoever comes next.
const used: string[] = [];

async function dockerRun(script: string): Promise<number> {
  const work = mkdtempSync(join(tmpdir(), 'orc-bench-work-'));
  used.push(work);
  const started = performance.now();
  cpSync(project, work, { recursive: true });
  execFileSync('chown', ['-R', '1000:1000', work]);
  await new Promise<void>((resolve, reject) => {
    const child = spawn(script, [work], { stdio: 'ignore' });
    child.on('exit', (code) => (code === 0 ? resolve() : reject(new Error(`exit ${code}`))));
  });
  return performance.now() - started;
}

const median = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;

await orchestra(2);
const caches = join(daemon.stateDir, 'packages/caches');
const cache = mkdtempSync(join(tmpdir(), 'orc-bench-cache-'));
cpSync(join(caches, readdirSync(caches)[0] ?? ''), cache, { recursive: true });
execFileSync('chown', ['-R', '1000:1000', cache]);
const script = makeScript(cache, 'sequential', (lines) => lines.join('\n'));
// The longest branch beside the others, as a person would write it by hand.
const sideBySide = makeScript(cache, 'parallel', ([install, build, lint, ...others]) =>
  [install, `${lint} & long=$!`, build, ...others, 'wait $long'].join('\n'),
);
await dockerRun(script);

const samples = {
  docker: [] as number[],
  dockerParallel: [] as number[],
  orchestra1: [] as number[],
  orchestra2: [] as number[],
};
for (let round = 0; round < rounds; round += 1) {
  samples.docker.push(await dockerRun(script));
  samples.dockerParallel.push(await dockerRun(sideBySide));
  samples.orchestra1.push(await orchestra(1));
  samples.orchestra2.push(await orchestra(2));
}
const base = median(samples.docker);
const ratios = {
  sequential: median(samples.orchestra1) / base,
  parallel: median(samples.orchestra2) / base,
  dockerParallel: median(samples.dockerParallel) / base,
};
const result = {
  at: new Date().toISOString(),
  load: loadavg(),
  rounds,
  ratios,
  samplesMs: samples,
};
mkdirSync(join(root, 'bench/results'), { recursive: true });
writeFileSync(join(root, 'bench/results/main-job.json'), `${JSON.stringify(result, null, 2)}\n`);
process.stdout.write(
  `docker run, one task after the other  ${(base / 1000).toFixed(2)} s\n` +
    `docker run, branches by the shell     ${(median(samples.dockerParallel) / 1000).toFixed(2)} s  ${ratios.dockerParallel.toFixed(2)} x\n` +
    `orchestra run -j 1                    ${(median(samples.orchestra1) / 1000).toFixed(2)} s  ${ratios.sequential.toFixed(2)} x\n` +
    `orchestra run -j 2                    ${(median(samples.orchestra2) / 1000).toFixed(2)} s  ${ratios.parallel.toFixed(2)} x\n`,
);
for (const path of [...used, cache, project, script, sideBySide])
  rmSync(path, { recursive: true, force: true });
