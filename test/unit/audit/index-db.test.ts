import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { LogRecord } from '#contract/records.ts';
import { openIndex, type LogIndex } from '#daemon/audit/index-db.ts';
import { IndexWriter, schema } from '#daemon/audit/reading/index-writer.ts';
import { matches, wordFor } from '#daemon/audit/reading/filter.ts';
import { searchSegments } from '#daemon/audit/reading/search-segments.ts';
import type { AnyEntry, Log } from '#daemon/audit/types.ts';
import { closed, FakeClock, noise, reopen, skipped, testLog } from './fixture.ts';

function dump(dir: string): unknown {
  const database = new DatabaseSync(join(dir, 'index.sqlite'), { readOnly: true });
  const tables = ['records', 'blocks', 'counts', 'hours', 'sqlite_schema'];
  const rows = tables.map((table) => database.prepare(`SELECT * FROM ${table}`).all());
  database.close();
  return rows;
}

async function fill(log: Log): Promise<void> {
  for (let n = 0; n < 120; n += 1) {
    void log.append({
      ...skipped(`r-${n % 3}`, `reason ${n}`),
      outcome: n % 10 === 0 ? 'failed' : 'ok',
      actor: { kind: 'user', auth: 'peer', uid: 1000 + (n % 2), name: n % 2 === 0 ? 'ada' : 'bob' },
    });
  }
  await log.append(noise("100% o'clock_"));
}

async function removeIndex(dir: string): Promise<void> {
  for (const suffix of ['', '-wal', '-shm'])
    await rm(join(dir, `index.sqlite${suffix}`), { force: true });
}

test('deleted while stopped, the index comes back the same', async () => {
  await using it = await testLog({ segmentBytes: 9_000 });
  const index = await openIndex(it);
  await fill(it.log);
  await index.query();
  await index.close();
  const before = dump(it.dir);
  await removeIndex(it.dir);
  const again = await openIndex(it);
  await again.query();
  await again.close();
  expect(dump(it.dir)).toEqual(before);
  expect(again.size).toBe(it.log.size);
});

test.each([
  ['is no database', (path: string) => writeFile(path, 'not a database at all'.repeat(300))],
  ['has gaps', (path: string) => sql(path, 'DELETE FROM records WHERE seq = 5')],
  ['belongs to another log', (path: string) => sql(path, "UPDATE records SET hash = 'x'")],
  ['has another version', (path: string) => sql(path, 'PRAGMA user_version = 99')],
])('an index that %s is built again', async (_name, damage) => {
  await using it = await testLog();
  const index = await openIndex(it);
  await fill(it.log);
  await index.query();
  await index.close();
  const before = dump(it.dir);
  await damage(join(it.dir, 'index.sqlite'));
  const again = await openIndex(it);
  expect((await again.query({ limit: 1_000 })).lines).toHaveLength(it.log.size);
  await again.close();
  expect(dump(it.dir)).toEqual(before);
});

async function sql(path: string, statement: string): Promise<void> {
  const database = new DatabaseSync(path);
  database.exec(statement);
  database.close();
  return Promise.resolve();
}

test('a doctored index or segment cannot make a record say something else', async () => {
  await using it = await testLog({ segmentBytes: 1e9 });
  const index = await openIndex(it);
  await fill(it.log);
  const { lines } = await index.query({ limit: 1_000 });
  const { offset, length, hash } = lines[1]!;
  const database = new DatabaseSync(join(it.dir, 'index.sqlite'));
  const point = database.prepare('UPDATE records SET offset = ?, length = ? WHERE seq = ?');
  point.run(offset, length, 0);
  point.run(offset, length, 2);
  database.prepare('UPDATE records SET hash = ? WHERE seq = 2').run(hash);
  point.run(offset, -1, 3);
  point.run(1e12, length, 4);
  database.close();
  const segment = join(it.dir, 'segments', '0000000000000000.jsonl');
  const text = await readFile(segment, 'utf8');
  const changed = lines.findIndex(({ line }) => line.includes('"reason 40"'));
  await writeFile(segment, text.replace('"reason 40"', '"REASON 40"'));
  for (const seq of [0, 2, 3, 4]) {
    await expect(index.find(seq)).rejects.toMatchObject({ code: 'audit.index_changed' });
  }
  await expect(index.find(changed)).rejects.toMatchObject({ code: 'audit.broken' });
  expect((await index.find(5))?.line).toBe(lines[5]!.line);
  await expect(index.query()).rejects.toMatchObject({ code: 'audit.index_changed' });
  await index.close();
});

const damages: [string, string, Parameters<LogIndex['query']>[0]][] = [
  ['says another type', "UPDATE records SET type = 'task.skipped' WHERE seq = 0", {}],
  ['says another outcome', "UPDATE records SET outcome = 'failed' WHERE seq = 5", {}],
  ['says another time', 'UPDATE records SET ts = 0 WHERE seq = 5', {}],
  ['says another actor', "UPDATE records SET uid = 7, actor = 'eve' WHERE seq = 5", {}],
  ['is less important', 'UPDATE records SET sev = 3 WHERE seq = 5', {}],
  ['is gone', 'DELETE FROM records WHERE seq = 5', {}],
  ['is gone, and is not what is asked for', 'DELETE FROM records WHERE seq = 5', { actor: 'bob' }],
  ['is gone from its run', "DELETE FROM records WHERE seq = 5 AND run = 'r-1'", { run: 'r-1' }],
];

test.each(damages)('a row that %s while the daemon runs is noticed', async (_n, damage, query) => {
  await using it = await testLog();
  const index = await openIndex(it);
  await fill(it.log);
  await index.query();
  expect((await index.find(5))?.record.run).toBe('r-1');
  await sql(join(it.dir, 'index.sqlite'), damage);
  await expect(index.query({ ...query, limit: 1_000 })).rejects.toMatchObject({
    code: 'audit.index_changed',
  });
  await index.close();
});

test('a row that no filter meets any more is hidden by the index and shown by the segments', async () => {
  await using it = await testLog();
  const index = await openIndex(it);
  await fill(it.log);
  await index.query();
  await sql(join(it.dir, 'index.sqlite'), "UPDATE records SET actor = 'x', uid = 7 WHERE seq = 6");
  const wanted = { actor: 'bob', limit: 1_000 };
  const shown = await index.query(wanted);
  const read = await searchSegments({ log: it.log, index }, wanted);
  expect(read.lines).toHaveLength(shown.lines.length + 1);
  expect(read.hidden).toEqual([6]);
  expect(read.scanned).toEqual({ from: 0, to: it.log.size });
  await index.close();
  // With the index out of reach the segments still answer, and say that nothing was compared.
  const alone = await searchSegments({ log: it.log, index }, wanted);
  expect(alone.lines).toHaveLength(read.lines.length);
  expect(alone.hidden).toBeUndefined();
});

test('index and segments answer every question alike, page by page, in either order', async () => {
  const clock = new FakeClock();
  await using it = await testLog({ clock, segmentBytes: 9_000 });
  const index = await openIndex(it);
  for (let n = 0; n < 60; n += 1) {
    await it.log.append(entryOf(n));
    clock.pass(n % 7 === 0 ? 900 : 10);
    if (n === 30) clock.wall -= 20_000;
  }
  const start = Date.UTC(2026, 0, 1);
  const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
  const filter = fc.record({
    run: maybe(fc.constantFrom('r-0', 'r-1', 'r-9')),
    type: maybe(
      fc.constantFrom('task.skipped', 'task.*', 'log.*', 'daemon.error', 'run.*', 'tas', 'task.%*'),
    ),
    actor: maybe(fc.constantFrom('ada', 'bob', 'uid:1001', '1000', '7', 'daemon', 'user', '')),
    outcome: maybe(fc.constantFrom('ok' as const, 'failed' as const, 'denied' as const)),
    sev: maybe(fc.constantFrom('info' as const, 'notice' as const, 'warn' as const)),
    since: maybe(fc.integer({ min: start - 20_000, max: start + 10_000 })),
    until: maybe(fc.integer({ min: start - 20_000, max: start + 10_000 })),
    text: maybe(fc.constantFrom('reason 1', '%', '\\', '"type":"task', 'none of them')),
  });
  await fc.assert(
    fc.asyncProperty(
      filter,
      fc.constantFrom('oldest' as const, 'newest' as const),
      fc.integer({ min: 1, max: 9 }),
      async (asked, order, limit) => {
        const wanted = (await Array.fromAsync(it.log.read()))
          .filter((line) => matches(line, asked))
          .map(({ record }) => record.seq);
        const expected = order === 'oldest' ? wanted : wanted.toReversed();
        const segments = { query: (q: object) => searchSegments({ log: it.log, index }, q) };
        for (const source of [index, segments]) {
          const { seqs, ranges } = await pages(source, { ...asked, order, limit });
          expect(seqs).toEqual(expected);
          const sorted = ranges.toSorted((a, b) => a.from - b.from);
          expect(sorted.at(0)?.from).toBe(0);
          expect(sorted.at(-1)?.to).toBe(it.log.size);
          for (const [n, range] of sorted.entries()) {
            if (n > 0) expect(range.from).toBe(sorted[n - 1]?.to);
          }
        }
      },
    ),
    { numRuns: 60 },
  );
  await index.close();
});

async function pages(source: Pick<LogIndex, 'query'>, query: object) {
  const seqs: number[] = [];
  const ranges: { from: number; to: number }[] = [];
  for (let cursor: number | undefined = undefined, first = true; first || cursor !== undefined;) {
    first = false;
    const page: Awaited<ReturnType<LogIndex['query']>> = await source.query({ ...query, cursor });
    seqs.push(...page.lines.map(({ record }) => record.seq));
    ranges.push(page.scanned);
    cursor = page.next;
  }
  return { seqs, ranges };
}

function entryOf(n: number): AnyEntry {
  const sevs = ['info', 'notice', 'warn', 'alert'] as const;
  const entry = n % 5 === 0 ? noise(`100% \\ ${n}`) : skipped(`r-${n % 3}`, `reason ${n}`);
  return {
    ...entry,
    sev: sevs[n % 4],
    outcome: n % 10 === 0 ? 'failed' : 'ok',
    actor:
      n % 4 === 0
        ? { kind: 'daemon', auth: 'self' }
        : { kind: 'user', auth: 'peer', uid: 1000 + (n % 2), name: n % 2 === 0 ? 'ada' : '1000' },
  };
}

test('what is counted is what the segments hold, by day, type, outcome, severity and actor', async () => {
  const clock = new FakeClock();
  await using it = await testLog({ clock });
  const index = await openIndex(it);
  for (let n = 0; n < 50; n += 1) {
    await it.log.append(entryOf(n));
    clock.pass(n === 25 ? 5 * 3_600_000 : 3_000_000);
  }
  const lines = await Array.fromAsync(it.log.read());
  const stats = await index.stats();
  expect(stats.records).toBe(lines.length);
  expect(stats.bytes).toBe(lines.reduce((sum, { length }) => sum + length + 1, 0));
  const count = (of: (record: LogRecord) => string) => {
    const counts: Record<string, number> = {};
    for (const { record } of lines) counts[of(record)] = (counts[of(record)] ?? 0) + 1;
    return counts;
  };
  const said = (rows: { name: string; records: number }[]) =>
    Object.fromEntries(rows.map(({ name, records }) => [name, records]));
  expect(said(stats.types)).toEqual(count(({ type }) => type));
  expect(said(stats.outcomes)).toEqual(count(({ outcome }) => outcome));
  expect(said(stats.severities)).toEqual(count(({ sev }) => sev));
  expect(said(stats.days)).toEqual(count(({ ts }) => ts.slice(0, 10)));
  expect(said(stats.actors)).toEqual(count(({ actor }) => wordFor(actor)));
  const hours = new Set(lines.map(({ record }) => record.ts.slice(0, 13)));
  expect(stats.hours).toMatchObject({ covered: hours.size, longestGap: 4, heartbeats: 0 });
  const second = await index.stats({ since: '2026-01-02', until: '2026-01-02' });
  expect(second.records).toBe(said(stats.days)['2026-01-02']);
  expect(second.days).toHaveLength(1);
  expect((await index.stats({ since: '2027-01-01' })).records).toBe(0);
  await index.close();
});

test('what was appended before a query is found by it, by every key and page by page', async () => {
  const clock = new FakeClock();
  await using it = await testLog({ clock });
  const index = await openIndex(it);
  await fill(it.log);
  clock.pass(60_000);
  await it.log.append(closed('r-0'));
  const count = async (query: Parameters<typeof index.query>[0]) =>
    (await index.query({ limit: 1_000, ...query })).lines.length;
  expect(await count({})).toBe(it.log.size);
  expect(await count({ run: 'r-0' })).toBe(41);
  expect(await count({ run: "r-0' OR 1=1 --" })).toBe(0);
  expect(await count({ type: 'task.skipped' })).toBe(120);
  expect(await count({ outcome: 'failed' })).toBe(12);
  expect(await count({ actor: 'ada' })).toBe(60);
  expect(await count({ actor: 'uid:1001', run: 'r-1' })).toBe(20);
  expect(await count({ actor: 'daemon' })).toBe(3);
  expect(await count({ since: clock.wall })).toBe(1);
  expect(await count({ until: clock.wall - 1 })).toBe(it.log.size - 1);
  expect(await count({ text: "100% o'clock_" })).toBe(1);
  expect(await count({ text: 'reason 1' })).toBe(31);

  for (const order of ['oldest', 'newest'] as const) {
    const seqs: number[] = [];
    let cursor: number | undefined;
    do {
      const page = await index.query({ type: 'task.skipped', order, limit: 7, cursor });
      seqs.push(...page.lines.map((line) => line.record.seq));
      cursor = page.next;
    } while (cursor !== undefined);
    const wanted = it.folded.filter((r) => r.type === 'task.skipped').map((r) => r.seq);
    expect(seqs).toEqual(order === 'oldest' ? wanted : wanted.toReversed());
  }
  expect((await index.find(3))?.record).toEqual(it.folded[3]);
  expect(await index.find(9_999)).toBeUndefined();
  await index.close();
});

test('the index catches up with what was appended while it was away', async () => {
  await using it = await testLog();
  const index = await openIndex(it);
  await fill(it.log);
  await index.query();
  await index.close();
  await it.log.append(noise('while away'));
  await it.log.close();
  const log = await reopen(it.dir);
  const again = await openIndex({ dir: it.dir, log });
  expect((await again.query({ text: 'while away' })).lines).toHaveLength(1);
  await again.close();
  await log.close();
});

test('rows of records that were pruned are dropped, and their counts with them', async () => {
  const clock = new FakeClock();
  await using it = await testLog({ clock });
  const index = await openIndex(it);
  for (let n = 0; n < 40; n += 1) {
    await it.log.append(entryOf(n));
    clock.pass(3_000_000);
  }
  await index.query();
  await index.close();
  const database = new DatabaseSync(join(it.dir, 'index.sqlite'));
  const writer = new IndexWriter(database);
  expect(writer.forget(25)).toBe(true);
  expect(writer.forget(25)).toBe(false);
  const left = ['records', 'counts', 'hours'].map((table) =>
    database.prepare(`SELECT * FROM ${table}`).all(),
  );
  const anew = new DatabaseSync(':memory:');
  anew.exec(schema);
  const lines = await Array.fromAsync(it.log.read({ from: 25 }));
  new IndexWriter(anew).write(lines);
  const expected = ['records', 'counts', 'hours'].map((table) =>
    anew.prepare(`SELECT * FROM ${table}`).all(),
  );
  expect(left).toEqual(expected);
  database.close();
  anew.close();
});

test('what was pruned is not there any more, by index and by segments, before and after a start', async () => {
  await using it = await testLog();
  const index = await openIndex(it);
  await fill(it.log);
  await index.query();
  const to = 60;
  await it.log.append(prunedTo(to));
  const { size } = it.log;
  const check = async (source: LogIndex) => {
    for (const order of ['oldest', 'newest'] as const) {
      const shown = await pages(source, { order, limit: 50 });
      const read = await pages(
        { query: (query) => searchSegments({ log: it.log, index: source }, query ?? {}) },
        { order, limit: 50 },
      );
      const expected = Array.from({ length: size - to }, (_, n) => to + n);
      expect(shown.seqs).toEqual(order === 'oldest' ? expected : expected.toReversed());
      expect(read.seqs).toEqual(shown.seqs);
    }
    expect(await source.find(to - 1)).toBeUndefined();
    expect((await source.find(to))?.record.seq).toBe(to);
    const places = await source.placesOfRun('r-0');
    expect(places[0]?.seq).toBeGreaterThanOrEqual(to);
    const run = await source.query({ run: 'r-0', limit: 1_000 });
    expect(run.lines.map(({ record }) => record.seq)).toEqual(places.map(({ seq }) => seq));
    expect((await source.stats()).size).toEqual({ index: size - to, log: size - to });
  };
  await check(index);
  await index.close();
  const again = await openIndex(it);
  await check(again);
  await again.close();
  await removeIndex(it.dir);
  const anew = await openIndex(it);
  await check(anew);
  await anew.close();
});

function prunedTo(to: number): AnyEntry {
  const hex = 'a'.repeat(64);
  return {
    type: 'log.pruned',
    data: {
      origin: 'test',
      from_seq: 0,
      to_seq: to,
      until: '2026-01-01T00:00:00.000Z',
      segments: [{ first_seq: 0, records: to, bytes: 1, sha256: hex, last: hex }],
      spans: [],
      tree_size: to,
      root: 'x',
      keep_days: 400,
    },
  };
}
