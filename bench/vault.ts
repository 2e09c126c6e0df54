/**
 * What the vault costs a run that is submitted: one text kept, durable, alone and among others; and
 * reading it again. Prints a table and keeps the raw samples. Usage: node bench/vault.ts [--dir DIR]
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { openLog } from '#daemon/audit/log.ts';
import { Erasures, Vault } from '#daemon/audit/vault/vault.ts';

const { values } = parseArgs({
  options: {
    texts: { type: 'string', default: '2000' },
    dir: { type: 'string', default: tmpdir() },
  },
});
await measure(values.dir, Number(values.texts));

async function measure(parent: string, texts: number): Promise<void> {
  const stateDir = await mkdtemp(join(parent, 'orchestra-bench-vault-'));
  const log = await openLog({ dir: join(stateDir, 'audit'), version: 'bench', origin: 'bench' });
  try {
    const options = { stateDir, erasures: new Erasures() };
    const vault = await Vault.open(options, log);
    const begun = performance.now();
    const actor = await vault.actor({ kind: 'user', auth: 'peer', uid: 1000 });
    const firstMs = performance.now() - begun;
    const alone = await eachTimed(texts, (i) => vault.keep(actor, `Build and test ${i}`));
    const crowd = await eachTimed(texts / 50, () =>
      Promise.all(Array.from({ length: 64 }, (_, i) => vault.keep(actor, `Lint ${i}`))),
    );
    const kept = await vault.keep(actor, 'Build and test');
    await vault.close();
    const again = await Vault.open(options, log);
    const [cold = 0] = await eachTimed(1, () => again.words(kept));
    await again.close();
    console.table({
      'first call of a caller, ms': round(firstMs),
      'one text, p50 ms': round(quantile(alone, 0.5)),
      'one text, p99 ms': round(quantile(alone, 0.99)),
      '64 texts at once, p50 ms': round(quantile(crowd, 0.5)),
      'first text after a start, ms': round(cold),
    });
    const folder = join(import.meta.dirname, 'results');
    await mkdir(folder, { recursive: true });
    const machine = { cpus: cpus().length, load: loadavg(), node: process.version };
    const result = { at: new Date().toISOString(), machine, firstMs, alone, crowd, cold };
    await writeFile(join(folder, 'vault.json'), `${JSON.stringify(result)}\n`);
  } finally {
    await log.close();
    await rm(stateDir, { recursive: true, force: true });
  }
}

async function eachTimed(times: number, act: (i: number) => Promise<unknown>): Promise<number[]> {
  const samples: number[] = [];
  for (let i = 0; i < times; i += 1) {
    const begun = performance.now();
    await act(i);
    samples.push(performance.now() - begun);
  }
  return samples;
}

function quantile(samples: readonly number[], q: number): number {
  const sorted = samples.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? 0;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
