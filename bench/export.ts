/**
 * How fast records leave: each format of an export, a filter, and a forwarder that catches up to a
 * file, with the memory that it takes. Raw figures go to `bench/results/export.json`.
 * `node bench/export.ts [--records 200000]`
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { AuditExportQuery, exportFormats } from '#contract/audit-export.ts';
import { Exporter } from '#daemon/audit/export/export.ts';
import { openForwarders } from '#daemon/audit/forward/forwarders.ts';
import { openLog } from '#daemon/audit/log.ts';
import type { AnyEntry, Log } from '#daemon/audit/types.ts';

const { values } = parseArgs({
  options: {
    records: { type: 'string', default: '200000' },
    dir: { type: 'string', default: tmpdir() },
  },
});
const batch = 2_000;
const actor = { kind: 'user', auth: 'peer', uid: 1000, name: 'bench' } as const;
type Figure = { what: string; records: number; bytes: number; ms: number; per_s: number };

const place = await mkdtemp(join(values.dir, 'orchestra-bench-export-'));
try {
  const log = await openLog({ dir: join(place, 'audit'), version: 'bench', origin: 'bench' });
  await fill(log, Number(values.records));
  const figures: Figure[] = [];
  for (const format of exportFormats) figures.push(await exported(log, { format }));
  figures.push(await exported(log, { format: 'jsonl', sev: 'alert' }, ', filtered to nothing'));
  figures.push(await forwarded(log));
  await log.close();
  const rss = Math.round(process.resourceUsage().maxRSS / 1024);
  const machine = { cpus: cpus().length, model: cpus()[0]?.model, load: loadavg() };
  for (const { what, per_s: rate, ms } of figures) console.log(`${what}: ${rate}/s, ${ms} ms`);
  console.log(`resident at most ${rss} MiB`);
  const text = `${JSON.stringify({ machine, records: log.size, rss_mib: rss, figures }, null, 2)}\n`;
  await writeFile(new URL('results/export.json', import.meta.url), text);
} finally {
  await rm(place, { recursive: true, force: true });
}

async function fill(log: Log, records: number): Promise<void> {
  const command = `sha256:${'a'.repeat(64)}` as const;
  const entry: AnyEntry = {
    type: 'container.release',
    stage: 'intent',
    req: 'q-bench',
    obj: { container: 'c'.repeat(64), task: 'build' },
    pol: { hash: command, rule: 'default' },
    data: { spec: command, slot: true, command, env_names: ['PATH', 'HOME', 'LANG'] },
  };
  for (let at = 0; at < records; at += batch) {
    await log.appendAll(Array.from({ length: Math.min(batch, records - at) }, () => entry));
  }
}

async function exported(log: Log, query: object, more = ''): Promise<Figure> {
  const exporter = new Exporter({ log, host: 'bench', version: 'bench', now: () => Date.now() });
  const asked = AuditExportQuery.parse(query);
  const from = performance.now();
  const { blocks } = await exporter.open(asked, actor, new AbortController().signal);
  let bytes = 0;
  for await (const block of blocks) bytes += block.length;
  return figure(`export ${asked.format}${more}`, log.size, bytes, performance.now() - from);
}

async function forwarded(log: Log): Promise<Figure> {
  const to = `file://${join(place, 'forwarded')}`;
  const from = performance.now();
  const forwarders = await openForwarders({
    log,
    dir: join(place, 'audit'),
    settings: [{ name: 'bench', to, from: 'start' }],
    host: 'bench',
    version: 'bench',
    now: () => Date.now(),
  });
  for (;;) {
    const [one] = await forwarders.status();
    if (one?.lag === 0) break;
    await sleep(5);
  }
  const ms = performance.now() - from;
  await forwarders.close();
  return figure('forward jsonl to a file', log.size, 0, ms);
}

function figure(what: string, records: number, bytes: number, ms: number): Figure {
  return { what, records, bytes, ms: Math.round(ms), per_s: Math.round((records / ms) * 1000) };
}
