import { hash } from 'node:crypto';
import { expect, test } from 'vitest';
import { AuditExportQuery, ExportManifest, ExportTrailer } from '#contract/audit-export.ts';
import type { Actor } from '#contract/records.ts';
import { Exporter, type Export } from '#daemon/audit/export/export.ts';
import { parseCsv } from '#test/support/collectors.ts';
import { all, noise, skipped, testLog, type TestLog } from '../fixture.ts';

const ada: Actor = { kind: 'user', auth: 'peer', uid: 1000, name: 'ada' };
const run = 'r-0123456789';
const never = new AbortController().signal;

function exporterOf({ log }: TestLog) {
  const root = Buffer.alloc(32, 7);
  return new Exporter({
    log,
    host: 'box',
    version: '0.1.0',
    now: () => 0,
    rootAt: () => Promise.resolve(root),
  });
}

const ask = (exporter: Exporter, query: object = {}, signal = never): Promise<Export> =>
  exporter.open(AuditExportQuery.parse(query), ada, signal);

async function textOf({ blocks }: Export): Promise<string> {
  return Buffer.concat(await Array.fromAsync(blocks)).toString();
}

test('who, which and how many is durable before the first byte leaves', async () => {
  await using it = await testLog();
  await it.log.append(skipped(run));
  const before = it.log.size;
  const found = await ask(exporterOf(it), { format: 'csv', run });
  expect(it.log.size).toBe(before + 1);
  const [line] = await all(it.log.read({ from: before }));
  expect(line?.record).toMatchObject({
    type: 'log.exported',
    sev: 'notice',
    actor: ada,
    data: {
      format: 'csv',
      query: JSON.stringify({ run, format: 'csv' }),
      records: 1,
      from_seq: 0,
      to_seq: before,
    },
  });
  await found.blocks.return();
});

test('a log that takes no record gives none away', async () => {
  await using it = await testLog();
  const exporter = exporterOf(it);
  const broken = new Proxy(it.log, {
    get: (log, key) =>
      key === 'append'
        ? () => Promise.reject(new Error('the disk is gone'))
        : Reflect.get(log, key),
  });
  const denied = new Exporter({ log: broken, host: 'box', version: '0', now: () => 0 });
  await expect(ask(denied)).rejects.toThrow('the disk is gone');
  expect(await textOf(await ask(exporter))).toContain('log.genesis');
});

test('jsonl is a manifest, the exact lines, and a trailer with their number and digest', async () => {
  await using it = await testLog();
  for (let i = 0; i < 300; i += 1) await it.log.append(noise(`\u202e ${i} é`));
  const lines = (await all(it.log.read())).map(({ line }) => line);
  const text = await textOf(await ask(exporterOf(it)));
  const [head = '', ...rest] = text.split('\n');
  expect(rest.pop()).toBe('');
  const trailer = ExportTrailer.parse(JSON.parse(rest.pop() ?? ''));
  expect(rest).toEqual(lines);
  expect(trailer.records).toBe(lines.length);
  expect(trailer.sha256).toBe(hash('sha256', lines.map((line) => `${line}\n`).join(''), 'hex'));
  expect(ExportManifest.parse(JSON.parse(head))).toEqual({
    orchestra_export: 1,
    origin: 'test',
    version: '0.1.0',
    time: '1970-01-01T00:00:00.000Z',
    query: { format: 'jsonl' },
    from_seq: 0,
    to_seq: lines.length,
    records: lines.length,
    tree_size: lines.length,
    root: Buffer.alloc(32, 7).toString('base64'),
  });
});

test('a filter and a range leave out what does not fit, and the manifest counts what does', async () => {
  await using it = await testLog();
  for (let i = 0; i < 20; i += 1) {
    await it.log.append(i % 2 === 0 ? skipped(run, `no ${i}`) : noise(`yes ${i}`));
  }
  const exporter = exporterOf(it);
  const numbers = async (query: object) => {
    const found = await ask(exporter, { format: 'csv', ...query });
    const [, ...rows] = parseCsv(await textOf(found));
    expect(found.manifest.records).toBe(rows.length);
    return rows.map(([seq]) => Number(seq));
  };
  const of = async (fits: (line: string) => boolean) =>
    (await all(it.log.read())).filter(({ line }) => fits(line)).map(({ record }) => record.seq);
  const taken = await of((line) => line.includes('task.skipped'));
  expect(await numbers({ run })).toEqual(taken);
  expect(await numbers({ type: 'task.*' })).toEqual(taken);
  expect(await numbers({ text: 'yes 1', to: 24 })).toEqual(
    await of((line) => line.includes('"what":"yes 1')),
  );
  expect(await numbers({ from: 5, to: 8 })).toEqual([5, 6, 7]);
  expect(await numbers({ from: 8, to: 5 })).toEqual([]);
  expect(await numbers({ sev: 'alert' })).toEqual([]);
  expect(await numbers({ from: 1e9 })).toEqual([]);
});

test('what is appended meanwhile does not come', async () => {
  await using it = await testLog();
  const found = await ask(exporterOf(it));
  await it.log.append(noise('late'));
  expect(await textOf(found)).not.toContain('late');
});

test('a caller who leaves ends the reading, and makes room for others', async () => {
  await using it = await testLog();
  for (let i = 0; i < 400; i += 1) await it.log.append(noise('x'.repeat(1000)));
  const exporter = exporterOf(it);
  const stop = new AbortController();
  const four = await Promise.all([0, 1, 2, 3].map(() => ask(exporter, {}, stop.signal)));
  for (const { blocks } of four) await blocks.next();
  await expect(ask(exporter)).rejects.toMatchObject({ code: 'daemon.busy' });
  stop.abort();
  for (const { blocks } of four) await expect(blocks.next()).rejects.toThrow('abort');
  expect(await textOf(await ask(exporter))).toContain('log.genesis');
  await expect(ask(exporter, { text: 'x' }, stop.signal)).rejects.toThrow('abort');
});

test('a slow reader holds one block, not the log', async () => {
  await using it = await testLog();
  for (let i = 0; i < 100; i += 1) await it.log.append(noise('x'.repeat(1000)));
  let read = 0;
  const counting = new Proxy(it.log, {
    get: (log, key) => {
      const value: unknown = Reflect.get(log, key);
      if (key !== 'read') return typeof value === 'function' ? (value.bind(log) as unknown) : value;
      return async function* counted(...range: Parameters<typeof log.read>) {
        for await (const line of log.read(...range)) {
          read += 1;
          yield line;
        }
      };
    },
  });
  const exporter = new Exporter({ log: counting, host: 'box', version: '0', now: () => 0 });
  const { blocks } = await ask(exporter);
  const { value } = await blocks.next();
  expect(value?.length).toBeLessThan(80_000);
  expect(read).toBeLessThan(60);
  await blocks.return();
});
