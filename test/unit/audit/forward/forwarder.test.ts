import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { matcher } from '#daemon/audit/export/filter.ts';
import type { Cursor } from '#daemon/audit/forward/cursor.ts';
import { Refusal, type Batch, type Target } from '#daemon/audit/forward/target.ts';
import { waitMs } from '#daemon/audit/forward/waits.ts';
import { all, noise, reopen, skipped, testLog, type TestLog } from '../fixture.ts';
import { eventually, FakeReceiver, folder, forward, numbersIn, type Started } from './receivers.ts';

const upTo = (end: number) => Array.from({ length: end }, (_, i) => i);
const fill = async ({ log }: Pick<TestLog, 'log'>, records: number) => {
  for (let i = 0; i < records; i += 1) await log.append(noise(`record ${i}`));
};
const ofType = async ({ log }: Pick<TestLog, 'log'>, type: string) =>
  (await all(log.read())).map(({ record }) => record).filter((record) => record.type === type);

test('a receiver that refuses gets the same batch again, and in the end every record in order', async () => {
  await using it = await testLog();
  await fill(it, 45);
  using dir = folder();
  const receiver = new FakeReceiver();
  const tried: string[] = [];
  receiver.onSend = ({ from, to, texts }) => {
    tried.push(`${from}-${to}:${texts.length}`);
    if (receiver.tries % 3 !== 0) throw new Error('not now');
  };
  await using _ = await forward(it.log, receiver, { dir: dir.path });
  await eventually(() => receiver.numbers.length === it.log.size);
  expect(receiver.numbers).toEqual(upTo(it.log.size));
  for (let i = 0; i < tried.length; i += 3) {
    expect(new Set(tried.slice(i, i + 3)).size, tried.slice(i, i + 3).join(' ')).toBe(1);
  }
});

test('a receiver that hangs holds up neither the log nor the end of the daemon', async () => {
  await using it = await testLog();
  using dir = folder();
  const receiver = new FakeReceiver();
  receiver.onSend = (_batch, signal) =>
    new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(new Error('stopped')));
    });
  const { forwarder } = await forward(it.log, receiver, { dir: dir.path });
  await fill(it, 100);
  expect(it.log.size).toBeGreaterThan(100);
  expect(await forwarder.status()).toMatchObject({ next_seq: 0, sent: 0, lag: it.log.size });
  await forwarder.close(50);
  expect(receiver.batches).toEqual([]);
  // What was being handed over is handed over by the next.
  receiver.onSend = () => {};
  await using _again = await forward(it.log, receiver, { dir: dir.path });
  await eventually(() => receiver.numbers.length === it.log.size);
  expect(receiver.numbers).toEqual(upTo(it.log.size));
});

test('that a receiver takes nothing is on record once, and that it does again as well', async () => {
  await using it = await testLog();
  await fill(it, 5);
  using dir = folder();
  const receiver = new FakeReceiver();
  receiver.onSend = () => {
    throw new Refusal('the receiver answered 503\u001b[2J');
  };
  await using started = await forward(it.log, receiver, { dir: dir.path, stallMs: 20 });
  await eventually(async () => (await ofType(it, 'forward.stalled')).length > 0);
  const tries = receiver.tries;
  await eventually(() => receiver.tries > tries + 20);
  expect(await started.forwarder.status()).toMatchObject({
    state: 'stalled',
    next_seq: 0,
    error: 'the receiver answered 503\\u001b[2J',
  });
  const [stalled, ...more] = await ofType(it, 'forward.stalled');
  expect(more).toEqual([]);
  expect(stalled).toMatchObject({
    sev: 'warn',
    outcome: 'failed',
    data: { forwarder: 'siem', to: 'https://siem.example/', next_seq: 0 },
  });
  receiver.onSend = () => {};
  await eventually(async () => (await ofType(it, 'forward.resumed')).length > 0);
  // Its own records were handed over like others, and made no further ones.
  await eventually(() => receiver.numbers.length === it.log.size);
  const { size } = it.log;
  await sleep(50);
  expect(it.log.size).toBe(size);
  expect(receiver.numbers).toEqual(upTo(size));
  expect(await started.forwarder.status()).toMatchObject({ state: 'current', lag: 0, lag_ms: 0 });
});

test('a receiver that is away while hundreds of records come costs lag and one batch', async () => {
  await using it = await testLog();
  using dir = folder();
  const receiver = new FakeReceiver();
  let isAway = true;
  let largest = 0;
  receiver.onSend = ({ texts }) => {
    largest = Math.max(largest, texts.length);
    if (isAway) throw new Error('away');
  };
  await using started = await forward(it.log, receiver, { dir: dir.path });
  const many = upTo(600).map((i) => noise(`record ${i}`));
  await it.log.appendAll(many);
  expect((await started.forwarder.status()).lag).toBe(it.log.size);
  isAway = false;
  await eventually(() => receiver.numbers.length === it.log.size);
  expect(receiver.numbers).toEqual(upTo(it.log.size));
  expect(largest).toBe(10);
  expect(receiver.batches.length).toBeLessThan(65);
});

test('a new forwarder begins at the end, or where the configuration says at the start', async () => {
  await using it = await testLog();
  await fill(it, 3);
  using atEnd = folder();
  using atStart = folder();
  const [late, early] = [new FakeReceiver(), new FakeReceiver()];
  const { size } = it.log;
  await using _1 = await forward(it.log, late, { dir: atEnd.path, from: 'end' });
  await using _2 = await forward(it.log, early, { dir: atStart.path, from: 'start' });
  await fill(it, 1);
  await eventually(() => late.numbers.length === 1 && early.numbers.length === it.log.size);
  expect(late.numbers).toEqual([size]);
});

test('what does not fit the filter is passed, and the place moves on with it', async () => {
  await using it = await testLog();
  using dir = folder();
  const receiver = new FakeReceiver();
  const fits = matcher({ type: 'task.*' });
  await using started = await forward(it.log, receiver, { dir: dir.path, fits });
  await it.log.append(skipped('r-0123456789'));
  await fill(it, 25);
  await it.log.append(skipped('r-0123456789'));
  await fill(it, 25);
  await eventually(() => receiver.numbers.length === 2);
  await eventually(() => started.cursor.place.next === it.log.size);
  expect(await started.forwarder.status()).toMatchObject({ lag: 0, sent: 2 });
});

test('a batch that is too large for the receiver is cut until it fits', async () => {
  await using it = await testLog();
  await fill(it, 40);
  using dir = folder();
  const receiver = new FakeReceiver();
  receiver.onSend = ({ texts }) => {
    if (texts.length > 3) throw new Refusal('the receiver answered 413', { isTooLarge: true });
  };
  await using _ = await forward(it.log, receiver, { dir: dir.path });
  await eventually(() => receiver.numbers.length === it.log.size);
  expect(receiver.numbers).toEqual(upTo(it.log.size));
});

test('a receiver that asks for time gets it, within bounds, and never is hammered', () => {
  const random = () => 0;
  expect(waitMs(1, { random })).toBe(250);
  expect(waitMs(1, { random: () => 1 })).toBe(500);
  expect(waitMs(30, { random: () => 1 })).toBe(60_000);
  expect(waitMs(1, { asked: 7_000, random })).toBe(7_000);
  expect(waitMs(1, { asked: 10 ** 12, random })).toBe(3_600_000);
});

test('a place in another log, behind the end or over another record is refused', async () => {
  await using it = await testLog();
  await fill(it, 5);
  using dir = folder();
  const receiver = new FakeReceiver();
  const { forwarder, cursor } = await forward(it.log, receiver, { dir: dir.path });
  await eventually(() => receiver.numbers.length === it.log.size);
  await forwarder.close();
  const { place } = cursor;
  for (const wrong of [
    { ...place, next: place.next + 9 },
    { ...place, next: place.next - 1 },
    { ...place, hash: 'f'.repeat(64) },
  ]) {
    await cursor.save(wrong);
    await expect(forward(it.log, receiver, { dir: dir.path })).rejects.toMatchObject({
      code: 'audit.rolled_back',
    });
  }
  await cursor.save(place);
  await using other = await testLog({ origin: 'another' });
  await fill(other, 20);
  await expect(forward(other.log, receiver, { dir: dir.path })).rejects.toMatchObject({
    code: 'audit.rolled_back',
  });
});

test('the log closes under a forwarder that waits, and it ends', async () => {
  await using it = await testLog();
  using dir = folder();
  const receiver = new FakeReceiver();
  const { forwarder } = await forward(it.log, receiver, { dir: dir.path });
  await eventually(() => receiver.numbers.length === it.log.size);
  await it.log.close();
  await forwarder.close();
  const again = await reopen(it.dir);
  await using _ = await forward(again, receiver, { dir: dir.path });
  await again.append(noise('later'));
  await eventually(() => receiver.numbers.at(-1) === again.size - 1);
  expect(receiver.numbers).toEqual(upTo(again.size));
  await again.close();
});

/** What happens at one step: of handing over, or of noting the place. */
type Fate = 'well' | 'refused' | 'unanswered' | 'dies before' | 'dies after';
const fates = fc.array(
  fc.constantFrom<Fate>(
    'well',
    'well',
    'well',
    'refused',
    'unanswered',
    'dies before',
    'dies after',
  ),
  { maxLength: 40 },
);

test('wherever the daemon dies and the receiver fails, nothing is lost and no batch is another one', async () => {
  await fc.assert(
    fc.asyncProperty(
      fates,
      fc.array(fc.integer({ min: 0, max: 12 }), { maxLength: 6 }),
      async (plan, bursts) => {
        await using it = await testLog();
        const left = [...plan];
        const received: Batch[] = [];
        let dir = folder();
        let life: Started | undefined;
        let isDead = false;
        const die = (): never => {
          // What is on the disk at this moment is all that the next one has.
          if (!isDead) {
            const now = dir.copy();
            dir[Symbol.dispose]();
            dir = now;
          }
          isDead = true;
          throw new Error('dead');
        };
        const step = async (act: () => void | Promise<void>) => {
          if (isDead) throw new Error('dead');
          const fate = left.shift() ?? 'well';
          if (fate === 'dies before') die();
          if (fate === 'refused') throw new Error('refused');
          await act();
          if (fate === 'dies after') die();
          if (fate === 'unanswered') throw new Error('no answer');
        };
        const onCursor = (cursor: Cursor) => {
          const save = cursor.save.bind(cursor);
          cursor.save = (place) => step(() => save(place));
        };
        const live = async () => {
          const target: Target = {
            send: (batch) => step(() => void received.push(batch)),
            close: () => Promise.resolve(),
          };
          isDead = false;
          life = await forward(it.log, target, { dir: dir.path, onCursor, recordsMax: 4 });
        };
        await live();
        for (const burst of [...bursts, 1]) {
          await it.log.appendAll(upTo(burst).map((i) => noise(`${i}`)));
          await sleep(1);
        }
        const isAll = () => received.some(({ to }) => to === it.log.size);
        // oxlint-disable-next-line no-unmodified-loop-condition -- "step" does
        while (!isAll() || isDead) {
          if (isDead) {
            await life?.forwarder.close();
            await live();
          }
          await sleep(1);
        }
        await life?.forwarder.close();
        dir[Symbol.dispose]();
        // Who honours the key of a batch, which is its range and content, has each record once.
        const once = new Map(received.map((batch) => [`${batch.from}-${batch.to}`, batch]));
        expect([...once.values()].flatMap(numbersIn)).toEqual(upTo(it.log.size));
      },
    ),
    { numRuns: 60 },
  );
}, 120_000);

test('wherever a connection without receipts breaks or the daemon dies, nothing is lost', async () => {
  const events = fc.array(fc.constantFrom('take', 'take', 'break', 'die'), { maxLength: 60 });
  await fc.assert(
    fc.asyncProperty(events, async (plan) => {
      await using it = await testLog();
      const left = [...plan];
      const received: number[] = [];
      let dir = folder();
      let onTheWay: Batch[] = [];
      let settled: number | undefined;
      let isBroken = false;
      let isDead = false;
      const next = () => {
        const what = left.shift() ?? 'take';
        if (what === 'take') {
          const batch = onTheWay.shift();
          if (batch === undefined) return;
          received.push(...numbersIn(batch));
          settled = batch.to;
          return;
        }
        // Of what was on its way, a part may have arrived.
        for (const batch of onTheWay.slice(0, left.length % 2)) received.push(...numbersIn(batch));
        onTheWay = [];
        settled = undefined;
        isBroken = true;
        if (what === 'break') return;
        const now = dir.copy();
        dir[Symbol.dispose]();
        dir = now;
        isDead = true;
      };
      const target = (): Target => ({
        send: (batch) => {
          next();
          if (isDead || isBroken) {
            isBroken = false;
            return Promise.reject(new Error('broken'));
          }
          onTheWay.push(batch);
          return Promise.resolve();
        },
        settled: () => {
          next();
          if (isDead || isBroken) {
            isBroken = false;
            throw new Error('broken');
          }
          return settled;
        },
        close: () => Promise.resolve(),
      });
      let life = await forward(it.log, target(), { dir: dir.path, recordsMax: 3, tickMs: 1 });
      await it.log.appendAll(upTo(15).map((i) => noise(`${i}`)));
      while (!received.includes(it.log.size - 1) || isDead) {
        if (isDead) {
          await life.forwarder.close();
          isDead = false;
          isBroken = false;
          life = await forward(it.log, target(), { dir: dir.path, recordsMax: 3, tickMs: 1 });
        }
        await sleep(1);
      }
      await life.forwarder.close();
      dir[Symbol.dispose]();
      expect([...new Set(received)]).toEqual(upTo(it.log.size));
    }),
    { numRuns: 60 },
  );
}, 120_000);
