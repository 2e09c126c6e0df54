/**
 * Kills the daemon, the engine and tasks at random while they are busy, brings them back, and looks
 * for what is left: `node bench/faults.ts [--minutes 20]`. Or no strikes and many tasks, and the same
 * look: `node bench/faults.ts --tasks 1000`. Needs root. Exit 1 with the list of what was left; the
 * result goes to `bench/results/faults.json` (`faults-tasks.json`). `--keep` leaves the directory.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { leftovers, openEnds } from './faults/inspect.ts';
import { keepBusy, manyTasks, snapshotOf, type Done } from './faults/load.ts';
import { strike, type Strikes } from './faults/strikes.ts';
import { World } from './faults/world.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '20' },
    tasks: { type: 'string' },
    dir: { type: 'string' },
    keep: { type: 'boolean', default: false },
  },
});
const results = join(new URL('.', import.meta.url).pathname, 'results');
const runsAtOnce = 3;

const world = new World(values.dir ?? mkdtempSync(join(tmpdir(), 'of-')));
const done: Done = { runs: 0, tasks: 0, outcomes: {} };
const strikes: Strikes = { daemon: 0, engine: 0, task: 0 };
const startedAt = performance.now();
let left: string[];
try {
  await world.start();
  const snapshot = await snapshotOf(world);
  if (values.tasks !== undefined) {
    await manyTasks(world, { snapshot, tasks: Number(values.tasks), done });
  } else {
    const endAt = performance.now() + Number(values.minutes) * 60_000;
    const goOn = () => performance.now() < endAt;
    const tell = setInterval(() => {
      process.stderr.write(`${JSON.stringify({ ...done, strikes })}\n`);
    }, 30_000);
    const busy = Array.from({ length: runsAtOnce }, () =>
      keepBusy(world, { snapshot, goOn, done }),
    );
    await Promise.all([strike(world, goOn, strikes), ...busy]);
    clearInterval(tell);
  }
  await world.revive();
  const ends = await openEnds(world);
  await world.stopDaemon();
  left = [...ends, ...(await leftovers(world))];
} finally {
  await world.close();
}
const result = {
  at: new Date().toISOString(),
  seconds: Math.round((performance.now() - startedAt) / 1000),
  ...done,
  strikes,
  crashes: world.crashes,
  left,
};
mkdirSync(results, { recursive: true });
const name = values.tasks === undefined ? 'faults.json' : 'faults-tasks.json';
writeFileSync(join(results, name), `${JSON.stringify(result, null, 2)}\n`);
process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
if (!values.keep) rmSync(world.dir, { recursive: true, force: true });
const isClean = left.length === 0 && world.crashes === 0 && done.outcomes['stuck'] === undefined;
process.exitCode = isClean ? 0 : 1;
