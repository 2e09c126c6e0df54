import { chmod, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { all, noise, reopen, skipped, testLog } from './fixture.ts';

test('a record that was changed on disk after it was written is not handed out', async () => {
  await using it = await testLog({ segmentBytes: 1e9 });
  for (let n = 0; n < 400; n += 1) void it.log.append(noise(`number ${n}`));
  await it.log.append(noise('end'));
  const path = join(it.dir, 'segments', '0000000000000000.jsonl');
  const text = await readFile(path, 'utf8');
  for (const victim of ['number 7"', 'number 300"', '"end"']) {
    await writeFile(path, text.replace(victim, victim.toUpperCase()));
    const seen: string[] = [];
    await expect(
      (async () => {
        for await (const { line } of it.log.read()) seen.push(line);
      })(),
    ).rejects.toMatchObject({ code: 'audit.broken' });
    expect(seen.join('')).not.toContain(victim.toUpperCase());
  }
  // Cut short or gone is no end of the stream either.
  await writeFile(path, text.slice(0, 40_000));
  await expect(all(it.log.read())).rejects.toMatchObject({ code: 'audit.broken' });
  await writeFile(path, text);
  expect(await all(it.log.read())).toHaveLength(402);
});

test('any range comes back exactly, across segments', async () => {
  await using it = await testLog({ segmentBytes: 20_000 });
  for (let n = 0; n < 500; n += 1) void it.log.append(n % 9 === 0 ? skipped('r-x') : noise(`${n}`));
  await it.log.append(noise('end'));
  expect((await readdir(join(it.dir, 'segments'))).length).toBeGreaterThan(5);
  const { size } = it.log;
  for (const [from, to] of [
    [0, size],
    [0, 1],
    [size - 1, size],
    [127, 129],
    [200, 450],
    [60, 60],
    [size, size + 5],
    [-3, 2],
  ] as const) {
    const seqs = (await all(it.log.read({ from, to }))).map((line) => line.record.seq);
    const wanted = it.folded.map((r) => r.seq).filter((seq) => seq >= from && seq < to);
    expect(seqs).toEqual(wanted);
  }
  const ofRun = await all(it.log.read({ run: 'r-x' }));
  expect(ofRun.map(({ record }) => record.rseq)).toEqual(ofRun.map((_, i) => i));
  expect(ofRun).toHaveLength(56);
  expect(await all(it.log.read({ run: 'r-none' }))).toEqual([]);
  const { line, offset, segment } = ofRun[30]!;
  const name = `${String(segment).padStart(16, '0')}.jsonl`;
  const bytes = await readFile(join(it.dir, 'segments', name));
  expect(bytes.toString('utf8', offset, offset + Buffer.byteLength(line))).toBe(line);
});

test('followers see history and live once and in order, however slow they are', async () => {
  await using it = await testLog({ segmentBytes: 60_000 });
  for (let n = 0; n < 50; n += 1) await it.log.append(noise(`history ${n}`));
  const stop = new AbortController();
  const until = 2_000;
  const collect = async (pauseEvery: number) => {
    const seqs: number[] = [];
    for await (const { record } of it.log.follow({ from: 10, signal: stop.signal })) {
      seqs.push(record.seq);
      if (record.data['what'] === 'last') break;
      if (seqs.length % pauseEvery === 0) await new Promise((resolve) => setTimeout(resolve, 3));
    }
    return seqs;
  };
  const followers = [collect(Infinity), collect(40), collect(150)];
  // Far more bytes than are kept in memory, so the slow ones have to go back to the disk.
  for (let n = 0; n < until; n += 100) {
    await it.log.appendAll(Array.from({ length: 100 }, () => noise('x'.repeat(1_000))));
  }
  await it.log.append(noise('last'));
  const wanted = it.folded.map((r) => r.seq).slice(10);
  for (const seqs of await Promise.all(followers)) expect(seqs).toEqual(wanted);
});

test('a follower of one run sees that run only, and ends when it is told or when the log closes', async () => {
  await using it = await testLog();
  await it.log.appendAll([skipped('r-a', '1'), skipped('r-b', '2'), noise('3')]);
  const stop = new AbortController();
  const ofRun = all(it.log.follow({ run: 'r-a', signal: stop.signal }));
  const toTheEnd = all(it.log.follow({ run: 'r-b' }));
  await it.log.appendAll([skipped('r-a', '4'), skipped('r-b', '5')]);
  await new Promise((resolve) => setTimeout(resolve, 20));
  stop.abort();
  expect((await ofRun).map(({ record }) => record.data['reason'])).toEqual(['1', '4']);
  await it.log.close();
  expect((await toTheEnd).map(({ record }) => record.data['reason'])).toEqual(['2', '5']);
});

test('a folder that was opened to others is closed to them again', async () => {
  await using it = await testLog();
  await it.log.close();
  await chmod(it.dir, 0o755);
  await (await reopen(it.dir)).close();
  expect((await stat(it.dir)).mode & 0o777).toBe(0o700);
});
