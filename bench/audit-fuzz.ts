/**
 * Mutated logs, extracts and proofs, judged by both verifiers. Prints counts, keeps what they do not
 * agree on. Usage: node bench/audit-fuzz.ts [--cases 100000] [--seed 1] [--dir /dev/shm/…] [--keep DIR]
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { fuzzAudit, lay } from '#test/support/audit-fuzz.ts';

const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: '100000' },
    seed: { type: 'string', default: '1' },
    dir: { type: 'string', default: join(tmpdir(), `orchestra-audit-fuzz-${process.pid}`) },
    keep: { type: 'string' },
    write: { type: 'boolean' },
  },
});
const { keep } = values;
const started = performance.now();
const result = await fuzzAudit({
  dir: values.dir,
  cases: Number(values.cases),
  seed: Number(values.seed),
  onDisagreement: (one, it) => {
    console.log(JSON.stringify(one));
    if (keep !== undefined) lay(join(keep, String(one.seed)), it);
  },
  onProgress: (done) => {
    if (done % 10_000 === 0) console.log(`${done} cases`);
  },
});
const seconds = Math.round((performance.now() - started) / 1000);
const { disagreements, unsound, ...counts } = result;
const machine = {
  cpus: cpus().length,
  model: cpus()[0]?.model,
  load: loadavg(),
  node: process.version,
};
const said = {
  at: new Date().toISOString(),
  seed: Number(values.seed),
  seconds,
  machine,
  ...counts,
  disagreements: disagreements.length,
  unsound: unsound.length,
};
console.log(JSON.stringify(said, null, 2));
for (const one of unsound.slice(0, 20)) console.log('unsound', JSON.stringify(one));
if (values.write === true) {
  const folder = join(import.meta.dirname, 'results');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'audit-fuzz.json'), `${JSON.stringify(said)}\n`);
}
if (disagreements.length > 0 || unsound.length > 0) process.exitCode = 1;
