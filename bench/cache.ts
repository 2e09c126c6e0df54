/**
 * The second run of the example project, of which nothing changed, against the same scripts by turbo
 * (installed in a folder of its own, with its daemon and its local cache warm); and what one cached
 * task costs, by a plan of fifty against a plan of one.
 * `node bench/cache.ts [rounds]`; raw samples go to `bench/results/cache.json`. Measured is the wall
 * time of the whole command, start of the CLI and upload of the workspace included.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  appendFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { bundle } from '#setup/bundle.ts';
import { TestDaemon } from '#test/support/daemon.ts';

const root = new URL('..', import.meta.url).pathname;
const rounds = Number(process.argv[2] ?? 9);
const turboVersion = '2.11.11';

await bundle(root);
const program = join(root, 'bin/orchestra.mjs');
await using daemon = await TestDaemon.start([], join(root, 'bin/orchestrad.mjs'));
const dir = mkdtempSync(join(tmpdir(), 'orc-bench-'));
const [ours, theirs] = [join(dir, 'ours'), join(dir, 'theirs')];
for (const project of [ours, theirs]) {
  cpSync(join(root, 'examples/typescript-project'), project, {
    recursive: true,
    filter: (path) => !/\/(?:node_modules|runs|dist)(?:\/|$)/.test(path),
  });
}

type Timed = { ms: number; output: string };

async function orchestra(args: readonly string[], cwd: string): Promise<Timed> {
  const started = performance.now();
  const ran = await daemon.cli(args, { program, cwd });
  if (ran.code !== 0) throw new Error(ran.stderr + ran.stdout);
  return { ms: performance.now() - started, output: ran.stderr + ran.stdout };
}

const project = (): Promise<Timed> => orchestra(['run', 'Build and test'], ours);

/** Scripts of one package, as turbo's documentation sets them up. */
function setUpTurbo(): void {
  const manifest = join(theirs, 'package.json');
  const said = JSON.parse(readFileSync(manifest, 'utf8')) as object;
  writeFileSync(manifest, JSON.stringify({ ...said, packageManager: 'npm@10.9.9' }));
  const tasks = {
    build: { outputs: ['dist/**'] },
    ...Object.fromEntries(['lint', 'typecheck', 'test'].map((name) => [name, { outputs: [] }])),
  };
  writeFileSync(join(theirs, 'turbo.json'), JSON.stringify({ tasks }));
  const tool = join(dir, 'turbo');
  mkdirSync(tool);
  writeFileSync(join(tool, 'package.json'), '{}');
  execFileSync('npm', ['install'], { cwd: theirs, stdio: 'ignore' });
  execFileSync('npm', ['install', `turbo@${turboVersion}`], { cwd: tool, stdio: 'ignore' });
  appendFileSync(join(theirs, '.gitignore'), '.turbo/\n');
  execFileSync('git', ['init', '-q'], { cwd: theirs });
}

function turbo(): Timed {
  const started = performance.now();
  const args = ['run', 'build', 'lint', 'typecheck', 'test'];
  const { status, stdout, stderr } = spawnSync(join(dir, 'turbo/node_modules/.bin/turbo'), args, {
    cwd: theirs,
    encoding: 'utf8',
    env: { ...process.env, TURBO_TELEMETRY_DISABLED: '1', DO_NOT_TRACK: '1' },
  });
  if (status !== 0) throw new Error(stdout + stderr);
  return { ms: performance.now() - started, output: stdout };
}

function planOf(count: number): string {
  const file = join(dir, `${count}.json`);
  const tasks = Array.from({ length: count }, (_, n) => ({
    id: `t${n}`,
    tool: 'sh',
    args: ['-c', `echo ${n} > made-${n}; echo said ${n}`],
    outputs: [{ name: 'made', path: `made-${n}` }],
  }));
  writeFileSync(file, JSON.stringify({ version: 1, tasks }));
  return file;
}

const plan = (file: string): Promise<Timed> =>
  orchestra(['run', '--plan', file, '--workspace', join(dir, 'empty')], dir);
const median = (values: readonly number[]) =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;

mkdirSync(join(dir, 'empty'));
setUpTurbo();
const [one, fifty] = [planOf(1), planOf(50)];
const fresh = { ours: (await project()).ms, theirs: turbo().ms };
await plan(fifty);
await plan(one);

const samples = {
  ours: [] as number[],
  theirs: [] as number[],
  one: [] as number[],
  fifty: [] as number[],
};
for (let round = 0; round < rounds; round += 1) {
  const cached = await project();
  if (!cached.output.includes('5 cached')) throw new Error(cached.output);
  samples.ours.push(cached.ms);
  const turned = turbo();
  if (!turned.output.includes('FULL TURBO')) throw new Error(turned.output);
  samples.theirs.push(turned.ms);
  samples.one.push((await plan(one)).ms);
  samples.fifty.push((await plan(fifty)).ms);
}
appendFileSync(join(ours, 'src/column.ts'), '// changed\n');
const changed = await project();
const figures = {
  cachedMs: median(samples.ours),
  turboMs: median(samples.theirs),
  perTaskMs: (median(samples.fifty) - median(samples.one)) / 49,
  installIsKept: /cached\s+install/.test(changed.output),
};
mkdirSync(join(root, 'bench/results'), { recursive: true });
const result = {
  at: new Date().toISOString(),
  load: loadavg(),
  rounds,
  turboVersion,
  figures,
  fresh,
  samplesMs: samples,
};
writeFileSync(join(root, 'bench/results/cache.json'), `${JSON.stringify(result, null, 2)}\n`);
process.stdout.write(
  `unchanged example, orchestra run   ${figures.cachedMs.toFixed(0)} ms (target 1000; the first took ${(fresh.ours / 1000).toFixed(1)} s)\n` +
    `unchanged example, turbo run       ${figures.turboMs.toFixed(0)} ms (without npm ci; the first took ${(fresh.theirs / 1000).toFixed(1)} s)\n` +
    `one cached task                    ${figures.perTaskMs.toFixed(1)} ms (target 20)\n` +
    `a changed source file              ${figures.installIsKept ? 'installs nothing anew' : 'INSTALLS ANEW'}\n`,
);
rmSync(dir, { recursive: true, force: true });
