import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { openIndex } from '#daemon/audit/index-db.ts';
import type { Log } from '#daemon/audit/types.ts';
import { closed, FakeClock, noise, reopen, skipped, testLog } from './fixture.ts';

function dump(dir: string): unknown {
  const database = new DatabaseSync(join(dir, 'index.sqlite'), { readOnly: true });
  const rows = ['records', 'sqlite_schema'].map((table) =>
    database.prepare(`SELECT * FROM ${table}`).all(),
  );
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
  for (const seq of [0, 2, 3, 4, changed]) {
    await expect(index.find(seq)).rejects.toMatchObject({ code: 'audit.broken' });
  }
  expect((await index.find(5))?.line).toBe(lines[5]!.line);
  await expect(index.query()).rejects.toMatchObject({ code: 'audit.broken' });
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
