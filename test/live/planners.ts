import { homedir } from 'node:os';
import { join } from 'node:path';
import { triedLine } from '#contract/planning.ts';
import { readConfig } from '#daemon/config.ts';
import { systemClock } from '#daemon/base/clock.ts';
import { NoPlan } from '#daemon/planner/models/no-plan.ts';
import { Planners } from '#daemon/planner/models/planners.ts';
import { SpentToday } from '#daemon/planner/models/spent-today.ts';
import { MemoryLog } from '#test/support/memory-log.ts';
import { planningCases } from '#test/support/planning-cases.ts';
import { wordsFor } from '#test/support/planning.ts';

// Asks the planners of a configuration for real: `npm run test:live [-- CONFIG]`. The cases are those
// that the unit tests play with scripted servers.

const uid = process.getuid?.() ?? 0;
const usualFile =
  uid === 0
    ? '/etc/orchestra/orchestrad.yaml'
    : join(homedir(), '.config', 'orchestra', 'orchestrad.yaml');
const file = process.argv[2];
const config = await readConfig({
  flags: {},
  file,
  defaultFile: usualFile,
  defaults: { socket: '/run/none', state_dir: '/var/none' },
});
const models = config.planners.filter(({ kind }) => kind !== 'rules');
if (models.length === 0) {
  const where = file ?? usualFile;
  process.stdout.write(`Not run: ${where} names no planner with a model (docs/PLANNERS.md).\n`);
  process.exit(0);
}

const planners = new Planners({
  settings: config.planners,
  withinMs: config.planWithinMs,
  keys: { uid, credentials: process.env['CREDENTIALS_DIRECTORY'] },
  clock: systemClock(),
  log: new MemoryLog(),
  spent: new SpentToday(),
});
let wrong = 0;
for (const { name: planner } of models) {
  for (const { name, intent, files, complaint } of planningCases) {
    const found = await planners
      .plan(await wordsFor(intent, files, { planner }), { signal: AbortSignal.timeout(300_000) })
      .catch((error: unknown) => {
        if (error instanceof NoPlan) return error;
        throw error;
      });
    const why = found instanceof NoPlan ? 'no plan' : complaint(found.plan);
    if (why !== undefined) wrong += 1;
    const tried = found.tried.map(triedLine).join('; ');
    process.stdout.write(`${why === undefined ? 'ok   ' : 'wrong'} ${name}: ${why ?? tried}\n`);
    if (found instanceof NoPlan) process.stdout.write(`      ${tried}\n`);
  }
}
process.stdout.write(`${models.length * planningCases.length - wrong} right, ${wrong} wrong\n`);
process.exit(wrong === 0 ? 0 : 1);
