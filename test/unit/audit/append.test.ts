import * as fc from 'fast-check';
import { readFile, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { AnyRecord } from '#contract/records.ts';
import type { AnyEntry } from '#daemon/audit/types.ts';
import { verifyLog } from '#verifier/verify.ts';
import canonicalize from 'canonicalize';
import { all, closed, FakeClock, FlakyDisk, noise, reopen, skipped, testLog } from './fixture.ts';

const act = { attempt: 0 } as const;

test.each<[string, unknown]>([
  ['an unknown type', { type: 'no.such', data: {} }],
  ['a type named like a part of every object', { type: 'toString', data: {} }],
  ['a field too many', { type: 'daemon.stopping', data: { reason: 'x', more: 1 } }],
  ['a field too few', { type: 'daemon.stopping', data: {} }],
  ['a float', { type: 'daemon.stopped', data: { runs_open: 1.5 } }],
  ['an unsafe integer', { type: 'daemon.stopped', data: { runs_open: 2 ** 53 } }],
  ['null', { type: 'daemon.stopping', data: { reason: null } }],
  ['no data', { type: 'daemon.stopping' }],
  ['a hostile key', { type: 'daemon.stopping', data: JSON.parse('{"reason":"","__proto__":1}') }],
  ['an act without stage', { type: 'container.start', req: 'q', data: act }],
  ['an act without req', { type: 'container.start', stage: 'intent', data: act }],
  ['a note with a stage', { type: 'daemon.stopping', stage: 'intent', data: { reason: '' } }],
  ['a closing without run', { ...closed('r'), run: undefined }],
  ['an id with a hostile key', { ...noise('x'), obj: { 'Not A Key': '1' } }],
  ['an endless id', { ...noise('x'), obj: { task: 'x'.repeat(257) } }],
  [
    'a line that is too long',
    {
      type: 'plan.failed',
      data: { planner: '', code: '', reasons: Array(64).fill('ß'.repeat(512)) },
    },
  ],
])('%s is a bug of the caller: nothing is written and the log goes on', async (_name, entry) => {
  await using it = await testLog();
  const before = it.log.size;
  await expect(it.log.append(entry as AnyEntry)).rejects.toMatchObject({ code: 'internal.bug' });
  await expect(it.log.appendAll([noise('first'), entry as AnyEntry])).rejects.toMatchObject({
    code: 'internal.bug',
  });
  expect(it.log.size).toBe(before);
  expect(it.log.blocked).toBeUndefined();
  await it.log.append(noise('after'));
  expect((await verifyLog(it.dir)).exit).toBe(0);
});

test('a record resolves only after the sync that covers it', async () => {
  const disk = new FlakyDisk();
  await using it = await testLog({ disk });
  let release = () => {};
  disk.onSync = (file) => new Promise((resolve) => (release = () => resolve(file.datasync())));
  let done = false;
  const before = it.log.size;
  const appended = it.log.append(noise('slow')).then(() => (done = true));
  while (disk.syncs < 2) await new Promise((resolve) => setImmediate(resolve));
  expect([done, it.log.size, it.folded.length]).toEqual([false, before, before]);
  release();
  await appended;
  expect([it.log.size, it.folded.length]).toEqual([before + 1, before + 1]);
});

test('many callers share one sync', async () => {
  const disk = new FlakyDisk();
  await using it = await testLog({ disk });
  const before = disk.syncs;
  await Promise.all(Array.from({ length: 200 }, (_, n) => it.log.append(noise(String(n)))));
  expect(disk.syncs - before).toBeLessThanOrEqual(2);
});

test('a failed sync ends the log: all that waits and all that comes is rejected, nothing is tried again', async () => {
  const disk = new FlakyDisk();
  await using it = await testLog({ disk });
  const { size } = it.log;
  const told: string[] = [];
  it.log.onBlocked((error) => told.push(error.code));
  disk.onSync = () => Promise.reject(Object.assign(new Error('EIO'), { code: 'EIO' }));
  const first = it.log.append(noise('first'));
  const rest = Array.from({ length: 3 }, () => it.log.append(noise('rest')));
  const syncs = disk.syncs;
  for (const attempt of [first, ...rest]) {
    await expect(attempt).rejects.toMatchObject({ code: 'audit.unavailable' });
  }
  disk.onSync = (file) => file.datasync();
  await expect(it.log.append(noise('later'))).rejects.toMatchObject({ code: 'audit.unavailable' });
  expect(disk.syncs).toBe(syncs + 1);
  expect([it.log.size, it.folded.length, told]).toEqual([size, size, ['audit.unavailable']]);
  it.log.onBlocked((error) => told.push(error.code));
  expect(told).toHaveLength(2);
  await expect(all(it.log.follow())).rejects.toMatchObject({ code: 'audit.unavailable' });
  await it.log.close();
  const again = await reopen(it.dir);
  expect(again.size).toBeGreaterThanOrEqual(size);
  await again.close();
  expect((await verifyLog(it.dir)).exit).toBe(0);
});

test('a disk that hangs ends the log like one that fails, and whatever it says later counts for nothing', async () => {
  const disk = new FlakyDisk();
  await using it = await testLog({ disk, stallMs: 20 });
  const { size } = it.log;
  const late = Promise.withResolvers<void>();
  disk.onSync = () => late.promise;
  await expect(it.log.append(noise('hung'))).rejects.toMatchObject({ code: 'audit.unavailable' });
  late.resolve();
  await expect(it.log.append(noise('later'))).rejects.toMatchObject({ code: 'audit.unavailable' });
  expect([it.log.size, it.folded.length]).toEqual([size, size]);
  await it.log.close();
  const again = await reopen(it.dir);
  await again.close();
  expect((await verifyLog(it.dir)).exit).toBe(0);
});

test('a write that takes half of a line and then fails is mended at the next start', async () => {
  const disk = new FlakyDisk();
  await using it = await testLog({ disk });
  disk.onAppend = async (bytes, file) => {
    await file.append(bytes.subarray(0, bytes.length >> 1));
    throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
  };
  await expect(it.log.append(noise('x'))).rejects.toMatchObject({ code: 'audit.unavailable' });
  await it.log.close();
  expect(await verifyLog(it.dir)).toMatchObject({ exit: 3, findings: [{ reason: 'torn_tail' }] });
  const again = await reopen(it.dir);
  expect((await all(again.read({ type: 'log.recovered' }))).length).toBe(1);
  await again.close();
  expect((await verifyLog(it.dir)).exit).toBe(0);
  expect(await readdir(join(it.dir, 'quarantine'))).toHaveLength(1);
});

test('a fold that throws blocks the log, since memory and log would differ', async () => {
  let broken = false;
  await using it = await testLog({
    onRecord() {
      if (broken) throw new Error('fold');
    },
  });
  broken = true;
  await expect(it.log.append(noise('x'))).rejects.toMatchObject({ code: 'audit.unavailable' });
  expect(it.log.blocked?.code).toBe('audit.unavailable');
});

test('more than may wait is turned away and the log stays well', async () => {
  await using it = await testLog({ pendingMax: 10 });
  const attempts = Array.from({ length: 20 }, () => it.log.append(noise('x')));
  const settled = await Promise.allSettled(attempts);
  const codes = settled.flatMap((s) => (s.status === 'rejected' ? [s.reason.code] : []));
  expect(codes).toEqual(Array(10).fill('daemon.busy'));
  await it.log.append(noise('after'));
});

test('records are numbered and folded in the order of the calls, whoever calls', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.integer({ min: 1, max: 5 }), fc.boolean()), {
        minLength: 1,
        maxLength: 30,
      }),
      async (plan) => {
        await using it = await testLog({ segmentBytes: 4_000 });
        const waits: Promise<AnyRecord[]>[] = [];
        let n = 0;
        for (const [size, pause] of plan) {
          const entries = Array.from({ length: size }, () => noise(String(n++)));
          waits.push(it.log.appendAll(entries));
          if (pause) await new Promise((resolve) => setImmediate(resolve));
        }
        for (const batch of await Promise.all(waits)) {
          expect(batch.map((r) => r.seq - batch[0]!.seq)).toEqual(batch.map((_, i) => i));
        }
        const words = it.folded.flatMap((r) => (r.type === 'daemon.error' ? [r.data.what] : []));
        expect(words).toEqual(Array.from({ length: n }, (_, i) => String(i)));
        expect(it.folded.map((r) => r.seq)).toEqual(it.folded.map((_, i) => i));
        await it.log.close();
        expect(await verifyLog(it.dir)).toMatchObject({ exit: 0, records: it.folded.length });
      },
    ),
    { numRuns: 15 },
  );
});

test('whatever text goes in, the line is RFC 8785, one line, and comes back', async () => {
  await using it = await testLog();
  await fc.assert(
    fc.asyncProperty(
      fc.string({ unit: 'binary', maxLength: 200 }),
      fc.constantFrom('', '\n', '\0', '\ud800', '\u2028', '"}\\'),
      async (text, extra) => {
        const what = text + extra;
        const { seq } = await it.log.append(noise(what));
        const [line] = await all(it.log.read({ from: seq, to: seq + 1 }));
        expect(line?.record.data['what']).toBe(what.toWellFormed());
        expect(line?.line).toBe(canonicalize(line?.record));
        expect(line?.line).not.toContain('\n');
      },
    ),
    { numRuns: 100 },
  );
  expect((await verifyLog(it.dir)).exit).toBe(0);
});

test('a run is closed with the count of its records, even when others append in the same tick', async () => {
  await using it = await testLog();
  const waits = [it.log.append(skipped('r-a')), it.log.append(skipped('r-b'))];
  const closing = it.log.append(closed('r-a'));
  waits.push(it.log.append(skipped('r-a', 'late')));
  await Promise.all(waits);
  expect(await closing).toMatchObject({ rseq: 1, data: { records: 2 } });
  await expect(it.log.append(closed('r-a'))).rejects.toMatchObject({ code: 'internal.bug' });
  await expect(it.log.appendAll([closed('r-b'), closed('r-b')])).rejects.toThrow();
  expect(it.log.runState('r-a')).toEqual({ records: 3, closed: true });
  expect(it.log.openRuns()).toEqual(['r-b']);
  expect(await verifyLog(it.dir)).toMatchObject({ exit: 3, openRuns: 1 });
  await it.log.append(closed('r-b'));
  expect((await verifyLog(it.dir)).exit).toBe(0);
});

test('a record that was handed out cannot be changed by whoever gets it', async () => {
  await using it = await testLog();
  const record = await it.log.append(noise('x'));
  expect(() => {
    (record.data as { what: string }).what = 'y';
  }).toThrow(TypeError);
});

test('segments are named after their first record, closed ones are read-only, and the chain crosses them', async () => {
  await using it = await testLog({ segmentBytes: 2_000 });
  for (let n = 0; n < 30; n += 1) await it.log.append(noise(`record ${n}`));
  const names = (await readdir(join(it.dir, 'segments'))).toSorted();
  expect(names.length).toBeGreaterThan(3);
  for (const [index, name] of names.entries()) {
    const path = join(it.dir, 'segments', name);
    const lines = (await readFile(path, 'utf8')).trimEnd().split('\n');
    expect(JSON.parse(lines[0]!).seq).toBe(Number(name.slice(0, 16)));
    expect((await stat(path)).mode & 0o777).toBe(index < names.length - 1 ? 0o440 : 0o600);
  }
  expect((await stat(it.dir)).mode & 0o777).toBe(0o700);
  expect(await verifyLog(it.dir)).toMatchObject({ exit: 0, segments: names.length });
});

test('a day makes a new segment', async () => {
  const clock = new FakeClock();
  await using it = await testLog({ clock });
  clock.pass(25 * 3600 * 1000);
  await it.log.append(noise('tomorrow'));
  expect(await readdir(join(it.dir, 'segments'))).toHaveLength(2);
  expect((await verifyLog(it.dir)).exit).toBe(0);
});

test.each([
  ['forward', 3_600_000],
  ['back', -3_600_000],
])('a clock that jumps %s leaves a record of it before the next one', async (_name, jump) => {
  const clock = new FakeClock();
  await using it = await testLog({ clock });
  await it.log.append(noise('before'));
  clock.wall += jump;
  await it.log.append(noise('after'));
  const types = it.folded.map((r) => r.type);
  expect(types.slice(-2)).toEqual(['clock.jump', 'daemon.error']);
  expect(it.folded.at(-2)?.data).toMatchObject({ jump_ms: jump });
  expect((await verifyLog(it.dir)).exit).toBe(0);
});

test('a clock that was set back between two boots, right at a rotation, verifies', async () => {
  const clock = new FakeClock();
  await using it = await testLog({ clock, segmentBytes: 500 });
  await it.log.append(noise('before'.repeat(90)));
  await it.log.close();
  clock.boot = 'boot-2';
  clock.wall -= 3_600_000;
  clock.micros = 5;
  const again = await reopen(it.dir, { clock, segmentBytes: 500 });
  await again.append(noise('after'));
  // The same boot with less time behind it: a machine that was put back.
  await again.close();
  clock.micros = 1;
  const third = await reopen(it.dir, { clock });
  await third.append(noise('put back'));
  await third.close();
  expect(await verifyLog(it.dir)).toMatchObject({ exit: 0, findings: [] });
});

test('below the low-water mark no run is taken, and the reserve is given up at the second mark', async () => {
  let free = 1e9;
  const freeBytes = () => Promise.resolve(free);
  await using it = await testLog({ freeBytes, lowWaterBytes: 1e6, reserveBytes: 5_000 });
  await it.log.assertRoom();
  expect((await stat(join(it.dir, 'reserve'))).size).toBe(5_000);
  free = 1e5;
  await expect(it.log.assertRoom()).rejects.toMatchObject({ code: 'disk.full' });
  expect(await readdir(it.dir)).toContain('reserve');
  free = 1e3;
  await expect(it.log.assertRoom()).rejects.toMatchObject({ code: 'disk.full' });
  expect(await readdir(it.dir)).not.toContain('reserve');
  await it.log.append(noise('last words'));
});

test('a closed log takes nothing more', async () => {
  await using it = await testLog();
  await it.log.close();
  await expect(it.log.append(noise('x'))).rejects.toMatchObject({ code: 'audit.unavailable' });
});
