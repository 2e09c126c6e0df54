/**
 * Kills the daemon at random moments of runs of fifty tasks with real containers, while it runs and
 * while it starts, and compares what each run leaves with what it has to leave:
 * `node bench/survive.ts [kills] [--engine]`. With `--engine` the engine and its containerd are killed
 * as well. It makes an engine of its own and needs root. The summary goes to stdout and to
 * `bench/results/survive.json` (`survive-engine.json`); exit 1 where anything was lost, ran twice,
 * differs or was left behind. `--keep` leaves the directory.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { knownPlan } from '#test/support/known-plan.ts';
import { compare, toldOf } from '#test/support/left-by-run.ts';
import { leftovers } from './faults/inspect.ts';
import { snapshotOf } from './faults/load.ts';
import { World } from './faults/world.ts';
import { endOf, killUntilOver, resume, submit, type Kills } from './survive/kill.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    engine: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
    dir: { type: 'string' },
  },
});
const wanted = Number(positionals[0] ?? 200);
const results = join(new URL('.', import.meta.url).pathname, 'results');

const world = new World(values.dir ?? mkdtempSync(join(tmpdir(), 'os-')));
const kills: Kills = { daemon: 0, starting: 0, engine: 0, containerd: 0 };
const summary = {
  runs: 0,
  tasks: 0,
  attempts: 0,
  adopted: 0,
  collected: 0,
  lost: 0,
  unknown: 0,
  cut: 0,
  resubmitted: 0,
  resumed: 0,
};
const found = { orphans: [] as string[], mismatches: [] as string[], reran: [] as string[] };
const startedAt = performance.now();
const made = () => kills.daemon + kills.starting + kills.engine + kills.containerd;
const unbrokenMs: number[] = [];

try {
  await world.start();
  const snapshot = await snapshotOf(world);
  for (let variant = 0; variant === 0 || made() < wanted; variant += 1) {
    const known = knownPlan({ diamonds: 10, variant, slow: true });
    let id = await submit(world, snapshot, known);
    if (variant === 0) {
      // Unbroken, so that it is known to leave what all the others are compared with.
      const began = performance.now();
      await endOf(world, id);
      unbrokenMs.push(Math.round(performance.now() - began));
    } else {
      const until = () => made() >= wanted;
      while ((await killUntilOver(world, id, { kills, until, engine: values.engine })) === 'anew') {
        summary.resubmitted += 1;
        id = await submit(world, snapshot, known);
      }
    }
    const told = await toldOf(world, id);
    // Of engines that are killed no task survives, and a task gets only so many attempts.
    while (values.engine && (await endOf(world, id)).state === 'failed' && summary.resumed < 20) {
      summary.resumed += 1;
      id = await resume(world, id);
      await endOf(world, id);
      const more = await toldOf(world, id, told.done);
      found.reran.push(...more.reran);
      summary.attempts += more.attempts;
    }
    const { wrong, cut } = await compare(world, id, known);
    found.mismatches.push(...wrong);
    summary.cut += cut;
    found.reran.push(...told.reran);
    await world.stopDaemon();
    found.orphans.push(...(await leftovers(world)).map((what) => `${id}: ${what}`));
    await world.startDaemon();
    summary.runs += 1;
    summary.tasks += known.tasks.length;
    summary.attempts += told.attempts;
    summary.adopted += told.adopted;
    summary.collected += told.collected;
    summary.lost += told.lost;
    summary.unknown += told.unknown;
    process.stderr.write(`${JSON.stringify({ id, ...kills, ...summary, found })}\n`);
  }
} finally {
  await world.close();
}
const isClean = Object.values(found).every((list) => list.length === 0) && world.crashes === 0;
const result = {
  at: new Date().toISOString(),
  load: loadavg(),
  seconds: Math.round((performance.now() - startedAt) / 1000),
  unbrokenMs,
  kills,
  ...summary,
  crashes: world.crashes,
  ...found,
};
mkdirSync(results, { recursive: true });
const name = values.engine ? 'survive-engine.json' : 'survive.json';
writeFileSync(join(results, name), `${JSON.stringify(result, null, 2)}\n`);
process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
if (!values.keep && isClean) rmSync(world.dir, { recursive: true, force: true });
process.exitCode = isClean ? 0 : 1;
