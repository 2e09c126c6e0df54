import * as fc from 'fast-check';
import { spawn } from 'node:child_process';
import { hash } from 'node:crypto';
import { appendFile, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { AnyRecord } from '#contract/records.ts';
import { acknowledgeLoss } from '#daemon/audit/log.ts';
import { headLine, readHeads } from '#verifier/heads.ts';
import { verifyLog } from '#verifier/verify.ts';
import { all, closed, copyOf, noise, reopen, skipped, testLog } from './fixture.ts';

const identity = { version: '0.0.0', origin: 'test', reserveBytes: 0 };

async function segmentsOf(dir: string): Promise<string[]> {
  const names = await readdir(join(dir, 'segments'));
  return names.toSorted().map((name) => join(dir, 'segments', name));
}

async function fill(log: { append: (entry: never) => Promise<unknown> }, count: number) {
  for (let n = 0; n < count; n += 1) await log.append(noise(`number ${n}`) as never);
}

test('a second writer is refused, in this process and in another', async () => {
  await using it = await testLog();
  await expect(reopen(it.dir)).rejects.toMatchObject({ code: 'audit.locked' });
  const child = spawn(process.execPath, [join(import.meta.dirname, 'writer-child.ts'), it.dir], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const said = (await Array.fromAsync(child.stderr)).join('');
  expect(said).toContain('audit.locked');
  expect(said).toContain(it.dir);
  await it.log.append(noise('still mine'));
  await it.log.close();
  await (await reopen(it.dir)).close();
});

test('what is folded while opening is what was folded while writing', async () => {
  await using it = await testLog({ segmentBytes: 1_500 });
  await it.log.append(skipped('r-a'));
  await fill(it.log, 10);
  await it.log.append(closed('r-a'));
  await it.log.close();
  const again: AnyRecord[] = [];
  const log = await reopen(it.dir, { onRecord: (record) => void again.push(record) });
  expect(again).toEqual(it.folded);
  expect(log.runState('r-a')).toEqual({ records: 2, closed: true });
  await expect(log.append(closed('r-a'))).rejects.toMatchObject({ code: 'internal.bug' });
  expect(await log.append(skipped('r-a'))).toMatchObject({ rseq: 2 });
  await log.close();
  expect((await verifyLog(it.dir)).exit).toBe(0);
});

test('cut anywhere after the noted head, the log recovers to a prefix; cut before it, it refuses', async () => {
  await using it = await testLog({ segmentBytes: 1e9 });
  await fill(it.log, 4);
  await it.log.saveHead();
  const noted = it.log.size;
  const [segment] = await segmentsOf(it.dir);
  const notedBytes = (await stat(segment!)).size;
  await fill(it.log, 3);
  const whole = await readFile(segment!, 'utf8');
  for (let cut = whole.length - 1; cut >= 0; cut -= 1 + (cut % 37)) {
    await using copy = await copyOf(it.dir);
    const path = join(copy.path, 'segments', '0000000000000000.jsonl');
    await truncate(path, cut);
    if (cut < notedBytes) {
      await expect(reopen(copy.path)).rejects.toMatchObject({ code: 'audit.rolled_back' });
      expect((await verifyLog(copy.path)).exit).toBe(1);
      expect((await stat(path)).size).toBe(cut);
      continue;
    }
    const good = whole.slice(0, whole.lastIndexOf('\n', cut - 1) + 1);
    const log = await reopen(copy.path);
    expect(log.size).toBeGreaterThanOrEqual(noted);
    await log.append(noise('goes on'));
    await log.close();
    expect((await readFile(path, 'utf8')).startsWith(good)).toBe(true);
    const torn = cut > good.length;
    expect(await readdir(join(copy.path, 'quarantine'))).toHaveLength(torn ? 1 : 0);
    expect((await verifyLog(copy.path)).exit).toBe(0);
  }
});

test('any byte changed in a cleanly stopped log is noticed, by the verifier and by the daemon', async () => {
  await using it = await testLog({ segmentBytes: 2_500 });
  await it.log.append(skipped('r-a'));
  await fill(it.log, 12);
  await it.log.append(closed('r-a'));
  await it.log.close();
  expect((await verifyLog(it.dir)).exit).toBe(0);
  await using copy = await copyOf(it.dir);
  const files = [...(await segmentsOf(copy.path)), join(copy.path, 'heads.jsonl')];
  const contents = await Promise.all(files.map((file) => readFile(file)));
  // Of heads.jsonl only the newest line counts; the ones before it are history.
  const lowest = files.map((_, i) => {
    const isHeads = i === files.length - 1;
    return isHeads ? contents[i]!.lastIndexOf(10, contents[i]!.length - 2) + 1 : 0;
  });
  const place = fc
    .nat({ max: files.length - 1 })
    .chain((file) =>
      fc.tuple(
        fc.constant(file),
        fc.integer({ min: lowest[file]!, max: contents[file]!.length - 1 }),
        fc.integer({ min: 1, max: 255 }),
      ),
    );
  await fc.assert(
    fc.asyncProperty(place, async ([file, at, flip]) => {
      // A lost line feed at the end of heads.jsonl is what a crash leaves: the head before counts.
      fc.pre(!(file === files.length - 1 && at === contents[file]!.length - 1));
      const changed = Buffer.from(contents[file]!);
      changed[at] = changed[at]! ^ flip;
      await rm(files[file]!);
      await writeFile(files[file]!, changed);
      const verdict = await verifyLog(copy.path);
      const opened = await reopen(copy.path).then(
        (log) => log.close(),
        (error: { code: string }) => error.code,
      );
      await rm(files[file]!);
      await writeFile(files[file]!, contents[file]!);
      expect(verdict.exit).toBe(1);
      expect(['audit.broken', 'audit.rolled_back']).toContain(opened);
    }),
    { numRuns: 250 },
  );
}, 120_000);

test('a record that was forged with all hashes after it is refused, whatever the fold makes of it', async () => {
  await using it = await testLog({ segmentBytes: 1e9 });
  await it.log.append(skipped('r-a'));
  await fill(it.log, 3);
  await it.log.close();
  const [segment] = await segmentsOf(it.dir);
  const lines = (await readFile(segment!, 'utf8')).split('\n').slice(0, -1);
  const forged: string[] = [];
  let prev = '0'.repeat(64);
  let rprev = prev;
  for (const line of lines) {
    const record = JSON.parse(line) as Record<string, unknown>;
    if (record['type'] === 'task.skipped') record['data'] = {};
    if (record['run'] !== undefined) record['rprev'] = rprev;
    forged.push(JSON.stringify({ ...record, prev }));
    prev = hash('sha256', `\0${forged.at(-1)!}`, 'hex');
    if (record['run'] !== undefined) rprev = prev;
  }
  await writeFile(segment!, forged.map((line) => `${line}\n`).join(''));
  const onRecord = (record: AnyRecord) => {
    if (record.type === 'task.skipped') record.data.reason.trim();
  };
  await expect(reopen(it.dir, { onRecord })).rejects.toMatchObject({
    code: 'audit.broken',
    message: expect.stringContaining('is not the one that heads.jsonl names') as string,
  });
});

test('a long run that is cut short leaves little behind the head that was noted last', async () => {
  await using it = await testLog({ segmentBytes: 1e9 });
  const reason = 'x'.repeat(256);
  for (let n = 0; n < 40; n += 1) {
    await it.log.appendAll(Array.from({ length: 100 }, () => skipped('r-long', reason)));
  }
  await using crashed = await copyOf(it.dir);
  const noted = (await readHeads(crashed.path))?.newest?.size ?? 0;
  expect(noted).toBeGreaterThan(1_000);
  expect(noted).toBeLessThanOrEqual(it.log.size);
  const log = await reopen(crashed.path);
  expect(log.runState('r-long')).toEqual({ records: 4_000, closed: false });
  await log.close();
});

test('zero bytes that a crash left behind the last line are put aside', async () => {
  await using it = await testLog();
  await fill(it.log, 2);
  await it.log.close();
  const [segment] = await segmentsOf(it.dir);
  await appendFile(segment!, Buffer.alloc(200_000));
  const log = await reopen(it.dir);
  const [recovered] = await all(log.read({ type: 'log.recovered' }));
  expect(recovered?.record.data).toMatchObject({ bytes: 200_000, last_good_seq: 2 });
  await log.close();
  expect((await verifyLog(it.dir)).exit).toBe(0);
});

test('a complete line that is wrong is never skipped: the refusal names file, byte, record and reason', async () => {
  await using it = await testLog();
  await fill(it.log, 2);
  await it.log.close();
  const [segment] = await segmentsOf(it.dir);
  const { size } = await stat(segment!);
  await appendFile(segment!, '{"not":"a record"}\n');
  await expect(reopen(it.dir)).rejects.toMatchObject({
    code: 'audit.broken',
    message: expect.stringMatching(`schema in 0000000000000000.jsonl, byte ${size}, record 3`),
  });
});

test('a missing segment is refused, wherever it is missing', async () => {
  await using it = await testLog({ segmentBytes: 1_200 });
  await fill(it.log, 15);
  await it.log.close();
  const count = (await segmentsOf(it.dir)).length;
  for (const [index, code] of [
    [0, 'audit.broken'],
    [2, 'audit.broken'],
    [count - 1, 'audit.rolled_back'],
  ] as const) {
    await using copy = await copyOf(it.dir);
    await rm((await segmentsOf(copy.path))[index]!);
    await expect(reopen(copy.path)).rejects.toMatchObject({ code });
    expect((await verifyLog(copy.path)).exit).toBe(1);
  }
});

test('a log that is gone, or that lost its notes, is not begun anew in silence', async () => {
  await using it = await testLog();
  await fill(it.log, 12);
  await it.log.close();
  await using copy = await copyOf(it.dir);
  await rm(join(copy.path, 'heads.jsonl'));
  await expect(reopen(copy.path)).rejects.toMatchObject({ code: 'audit.rolled_back' });
  await writeFile(join(copy.path, 'heads.jsonl'), '');
  await expect(reopen(copy.path)).rejects.toMatchObject({ code: 'audit.rolled_back' });
  for (const path of await segmentsOf(it.dir)) await rm(path);
  await expect(reopen(it.dir)).rejects.toMatchObject({ code: 'audit.rolled_back' });
  expect(await verifyLog(it.dir)).toMatchObject({ exit: 1 });
});

test.each([1, 2, 4])(
  'a loss of %i records can be acknowledged, and every later verification says so',
  async (lost) => {
    await using it = await testLog();
    await fill(it.log, 5);
    await it.log.close();
    const [segment] = await segmentsOf(it.dir);
    const lines = (await readFile(segment!, 'utf8')).split('\n');
    const left = 6 - lost;
    await truncate(segment!, Buffer.byteLength(lines.slice(0, left).join('\n')) + 1);
    const options = { ...identity, dir: it.dir };
    await acknowledgeLoss(options, 'the disk died');
    const verdict = await verifyLog(it.dir);
    expect(verdict.exit).toBe(0);
    expect(verdict.notes.join()).toContain(`6 records expected, ${left} found`);
    const log = await reopen(it.dir);
    expect(log.size).toBe(left + 1);
    await log.close();
  },
);

test('the end of a run is noted without anybody asking, so a later cut is noticed after a crash', async () => {
  await using it = await testLog();
  await it.log.appendAll([skipped('r-a'), closed('r-a')]);
  const noted = async () => (await readHeads(it.dir))?.newest;
  while ((await noted())?.size !== 3) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(await noted()).toEqual(it.log.head);
});

test('a crash between two segments is mended', async () => {
  await using it = await testLog({ segmentBytes: 1_200 });
  while ((await segmentsOf(it.dir)).length < 3) await it.log.append(noise('x'));
  const paths = await segmentsOf(it.dir);
  // The newest segment as a crash leaves it: made but empty, half of a first line, or not there.
  for (const bytes of [0, 10, -1]) {
    await using copy = await copyOf(it.dir);
    const path = join(copy.path, 'segments', paths.at(-1)!.slice(-22));
    // Noted long before the crash.
    const { head } = await verifyLog(copy.path, { upTo: 2 });
    await writeFile(join(copy.path, 'heads.jsonl'), headLine(head));
    if (bytes < 0) await rm(path);
    else await truncate(path, bytes);
    const log = await reopen(copy.path, { segmentBytes: 1_200 });
    await log.append(noise('goes on'));
    await log.close();
    expect(await verifyLog(copy.path)).toMatchObject({ exit: 0 });
  }
});

test('a torn line in heads.jsonl is a crash, another one is not', async () => {
  await using it = await testLog();
  await fill(it.log, 2);
  await it.log.close();
  const heads = join(it.dir, 'heads.jsonl');
  await appendFile(heads, '{"hash":"12');
  await (await reopen(it.dir)).close();
  expect(await readFile(heads, 'utf8')).toMatch(/\}\n$/);
  await appendFile(heads, 'nonsense\n');
  await expect(reopen(it.dir)).rejects.toMatchObject({ code: 'audit.broken' });
});
