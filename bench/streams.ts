/**
 * The example project with its layers as tar streams against the same with its layers mounted, in
 * alternation on one engine, nothing cached and all packages fetched before; and one task that does
 * nothing on a workspace of 2,000 files. `node bench/streams.ts [rounds]`; raw samples go to
 * `bench/results/streams.json`. Both have to leave the same layers.
 */
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { bundle } from '#setup/bundle.ts';
import { TestDaemon } from '#test/support/daemon.ts';

const root = new URL('..', import.meta.url).pathname;
const rounds = Number(process.argv[2] ?? 5);
const program = join(root, 'bin/orchestra.mjs');
const ways = ['mounts', 'streams'] as const;
const filesMany = 2000;

await bundle(root);
const dir = mkdtempSync(join(tmpdir(), 'orc-bench-'));
const project = join(dir, 'project');
cpSync(join(root, 'examples/typescript-project'), project, {
  recursive: true,
  filter: (path) => !/\/(?:node_modules|runs|dist)(?:\/|$)/.test(path),
});
const many = join(dir, 'many');
for (let n = 0; n < filesMany; n += 1) {
  const folder = join(many, `d${n % 50}`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `f${n}`), `${n}\n`.repeat(500));
}

await using daemons = new AsyncDisposableStack();
const daemonOf = new Map<string, TestDaemon>();
for (const way of ways) {
  const config = join(dir, `${way}.yaml`);
  writeFileSync(config, `layers: ${way}\n`);
  const daemon = await TestDaemon.start(['--config', config], join(root, 'bin/orchestrad.mjs'));
  daemons.use(daemon);
  daemonOf.set(way, daemon);
}

async function orchestra(way: string, args: readonly string[], cwd: string): Promise<number> {
  const started = performance.now();
  const ran = await daemonOf.get(way)?.cli(args, { program, cwd });
  if (ran?.code !== 0) throw new Error(`${way}: ${ran?.stderr}${ran?.stdout}`);
  return performance.now() - started;
}

/** Of each task but the tests, which note how long they took. */
function layersOf(way: string): string {
  const segments = join(daemonOf.get(way)?.stateDir ?? '', 'audit/segments');
  const records = readdirSync(segments)
    .toSorted()
    .flatMap((name) => readFileSync(join(segments, name), 'utf8').trim().split('\n'))
    .map(
      (line) =>
        JSON.parse(line) as { type: string; obj?: { task?: string }; data: { layer?: string } },
    );
  const sealed = new Map<string, string>();
  for (const { type, obj, data } of records) {
    if (type === 'layer.sealed' && obj?.task !== 'test')
      sealed.set(obj?.task ?? '', data.layer ?? '');
  }
  return [...sealed]
    .map((each) => each.join(' '))
    .toSorted()
    .join('\n');
}

const demo = ['run', 'Build and test', '--no-cache'];
const look = () => ['exec', '--', 'sh', '-c', `: ${performance.now()}`];
const median = (values: readonly number[]) =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;

const samples: Record<string, { demo: number[]; look: number[] }> = {};
for (const way of ways) {
  samples[way] = { demo: [], look: [] };
  await orchestra(way, demo, project);
}
const isSame = layersOf('mounts') === layersOf('streams');
for (const way of ways) await orchestra(way, look(), many);
for (let round = 0; round < rounds; round += 1) {
  // Whoever comes second finds the caches of the machine warm.
  for (const way of round % 2 === 0 ? ways : ways.toReversed()) {
    samples[way]?.demo.push(await orchestra(way, demo, project));
    samples[way]?.look.push(await orchestra(way, look(), many));
  }
}
const of = (way: string, what: 'demo' | 'look') => median(samples[way]?.[what] ?? []);
const figures = {
  demoRatio: of('streams', 'demo') / of('mounts', 'demo'),
  demoMs: { mounts: of('mounts', 'demo'), streams: of('streams', 'demo') },
  lookMs: { mounts: of('mounts', 'look'), streams: of('streams', 'look') },
  isSame,
};
mkdirSync(join(root, 'bench/results'), { recursive: true });
const result = {
  at: new Date().toISOString(),
  load: loadavg(),
  rounds,
  figures,
  samplesMs: samples,
};
writeFileSync(join(root, 'bench/results/streams.json'), `${JSON.stringify(result, null, 2)}\n`);
process.stdout.write(
  `example by tar streams / mounted   ${figures.demoRatio.toFixed(2)} x (${figures.demoMs.streams.toFixed(0)} against ${figures.demoMs.mounts.toFixed(0)} ms)\n` +
    `nothing done on ${filesMany} files      ${figures.lookMs.streams.toFixed(0)} against ${figures.lookMs.mounts.toFixed(0)} ms\n` +
    `layers                             ${isSame ? 'the same' : 'DIFFERENT'}\n`,
);
rmSync(dir, { recursive: true, force: true });
