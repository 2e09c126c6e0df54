import fc from 'fast-check';
import { setImmediate } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Capacity } from '#daemon/scheduler/capacity.ts';
import type { Claim } from '#daemon/scheduler/ledger.ts';
import type { Share } from '#daemon/scheduler/share.ts';

const never = new AbortController().signal;
const nothing: Claim = { cpuMilli: 0, memoryBytes: 0, locks: [] };
const memory = (memoryBytes: number): Claim => ({ ...nothing, memoryBytes });
const lock = (...locks: string[]): Claim => ({ ...nothing, locks });

/** What was granted and is not over yet, oldest first, and everything that ever was, in order. */
class Stage {
  readonly running: { name: string; lease: Disposable }[] = [];
  readonly granted: string[] = [];

  ask(share: Share, name: string, claim: Claim = nothing, rank = 0): void {
    const granted = (lease: Disposable) => {
      this.granted.push(name);
      this.running.push({ name, lease });
    };
    share.ask({ claim, rank, granted });
  }

  /** Ends the one that runs for longest, or the one with that name. */
  async end(name?: string): Promise<void> {
    const at = name === undefined ? 0 : this.running.findIndex((one) => one.name === name);
    const [ended] = this.running.splice(at, 1);
    ended?.lease[Symbol.dispose]();
    await setImmediate();
  }

  get names(): string[] {
    return this.running.map(({ name }) => name);
  }
}

test('whoever asks when too many wait is refused, and room comes back when others give up', async () => {
  const machine = new Capacity({ tasks: 1 }, 2);
  using share = machine.join();
  const holder = await share.take(nothing, never);
  const patient = new AbortController();
  const waiting = [share.take(nothing, patient.signal), share.take(nothing, patient.signal)];
  await expect(share.take(nothing, never)).rejects.toMatchObject({ code: 'daemon.busy' });
  patient.abort(new Error('no longer'));
  for (const one of waiting) await expect(one).rejects.toThrow('no longer');
  expect(machine.waiting).toBe(0);
  const next = share.take(nothing, never);
  holder[Symbol.dispose]();
  await expect(next).resolves.toBeDefined();
});

test('a wait that is given up takes no place, and one given up before it began does not wait', async () => {
  const machine = new Capacity({ tasks: 1 });
  using share = machine.join();
  const gone = AbortSignal.abort(new Error('gone'));
  await expect(share.take(nothing, gone)).rejects.toThrow('gone');
  const holder = await share.take(nothing, never);
  const controller = new AbortController();
  const waiting = share.take(nothing, controller.signal);
  controller.abort(new Error('cancelled'));
  await expect(waiting).rejects.toThrow('cancelled');
  holder[Symbol.dispose]();
  expect(machine.free).toBe(1);
  await share.take(nothing, never);
  expect(machine.free).toBe(0);
});

test('a run that is over drops whoever waits, and its leases still count until they end', async () => {
  const machine = new Capacity({ tasks: 1 });
  const share = machine.join();
  const lease = await share.take(nothing, never);
  const waiting = share.take(nothing, never);
  share[Symbol.dispose]();
  await expect(waiting).rejects.toThrow('over');
  expect(machine.free).toBe(0);
  lease[Symbol.dispose]();
  lease[Symbol.dispose]();
  expect(machine.free).toBe(1);
});

test('who claims more than the machine has runs alone instead of waiting for ever', async () => {
  const machine = new Capacity({ tasks: 4, memoryBytes: 8 });
  const stage = new Stage();
  using share = machine.join();
  stage.ask(share, 'small', memory(1));
  stage.ask(share, 'huge', memory(1000), 1);
  await setImmediate();
  expect(stage.names).toEqual(['huge']);
  await stage.end('huge');
  expect(stage.names).toEqual(['small']);
});

test('claims that are no numbers claim everything, and negative ones nothing', async () => {
  const machine = new Capacity({ tasks: 4, memoryBytes: 8 });
  const stage = new Stage();
  using share = machine.join();
  stage.ask(share, 'odd', memory(Number.NaN), 2);
  stage.ask(share, 'negative', memory(-5), 1);
  stage.ask(share, 'small', memory(1));
  await setImmediate();
  expect(stage.names).toEqual(['odd', 'negative']);
});

test('two tasks that name the same lock never run together, whichever runs they are in', async () => {
  const machine = new Capacity({ tasks: 8 });
  const stage = new Stage();
  using one = machine.join();
  using other = machine.join();
  stage.ask(one, 'one', lock('db', 'db'));
  stage.ask(other, 'other', lock('port', 'db'));
  stage.ask(other, 'free', lock('cache'));
  await setImmediate();
  expect(stage.names).toEqual(['one', 'free']);
  await stage.end('one');
  expect(stage.names).toEqual(['free', 'other']);
});

test('who does not fit keeps nobody else from going', async () => {
  const machine = new Capacity({ tasks: 4, memoryBytes: 4 });
  const stage = new Stage();
  using share = machine.join();
  stage.ask(share, 'first', memory(2), 9);
  stage.ask(share, 'big', memory(4), 5);
  stage.ask(share, 'small', memory(2), 1);
  await setImmediate();
  expect(stage.names).toEqual(['first', 'small']);
});

test('a big task waits for a bounded number of grants, however many small ones come', async () => {
  const machine = new Capacity({ tasks: 4, memoryBytes: 4 });
  const stage = new Stage();
  using share = machine.join();
  for (let i = 0; i < 4; i += 1) stage.ask(share, `small-${i}`, memory(1), 9);
  await setImmediate();
  stage.ask(share, 'big', memory(4), 5);
  for (let i = 4; i < 200; i += 1) {
    stage.ask(share, `small-${i}`, memory(1), 1);
    await stage.end();
  }
  expect(stage.granted.indexOf('big')).toBe(4 + 32);
});

test('a big task that is not the best of its run keeps nobody waiting who is better', async () => {
  const machine = new Capacity({ tasks: 4, memoryBytes: 4 });
  const stage = new Stage();
  using share = machine.join();
  stage.ask(share, 'big', memory(4), 1);
  for (let i = 0; i < 100; i += 1) stage.ask(share, 'small', memory(1), 9);
  for (let i = 0; i < 101; i += 1) await stage.end();
  expect(stage.granted.indexOf('big')).toBe(100);
});

test('a run that keeps itself busy does not lose the room that is kept for its big task', async () => {
  const machine = new Capacity({ tasks: 4, memoryBytes: 4 });
  const stage = new Stage();
  using own = machine.join({ atOnce: 1 });
  using other = machine.join();
  for (let i = 0; i < 3; i += 1) stage.ask(other, 'other', memory(1));
  await setImmediate();
  stage.ask(own, 'big', memory(4), 9);
  // Every fourth grant finds a place of its own run free, and only those count as going past it.
  for (let i = 0; i < 400; i += 1) {
    stage.ask(own, 'tiny');
    stage.ask(other, 'other', memory(1));
    await stage.end();
  }
  expect(stage.granted.indexOf('big')).toBeGreaterThan(3);
  expect(stage.granted.indexOf('big')).toBeLessThanOrEqual(3 + 4 * 32 + 4);
});

test('room is kept for big tasks in the order in which they had waited enough', async () => {
  const machine = new Capacity({ tasks: 8, memoryBytes: 4 });
  const stage = new Stage();
  using one = machine.join();
  using two = machine.join();
  using other = machine.join();
  stage.ask(other, 'first', memory(1));
  await setImmediate();
  stage.ask(one, 'big', memory(4));
  for (let i = 0; i < 32; i += 1) stage.ask(other, 'small', memory(1));
  await setImmediate();
  stage.ask(two, 'middle', memory(3));
  for (let i = 0; i < 64; i += 1) stage.ask(other, 'tiny');
  while (stage.names.length > 1) await stage.end(stage.names.find((name) => name !== 'first'));
  expect(stage.granted.filter((name) => name === 'tiny')).toHaveLength(64);
  expect(stage.granted).not.toContain('middle');
  await stage.end('first');
  expect(stage.names).toEqual(['big']);
  await stage.end('big');
  expect(stage.names[0]).toBe('middle');
});

test('who gives up keeps no room any more', async () => {
  const machine = new Capacity({ tasks: 4, memoryBytes: 4 });
  const stage = new Stage();
  using share = machine.join();
  using other = machine.join();
  stage.ask(other, 'first', memory(1));
  await setImmediate();
  const controller = new AbortController();
  const big = share.take(memory(4), controller.signal);
  stage.ask(share, 'another', { ...nothing, memoryBytes: 4 }, -1);
  for (let i = 0; i < 100; i += 1) stage.ask(other, 'small', memory(1));
  await setImmediate();
  while (stage.names.includes('small')) await stage.end('small');
  const passed = stage.granted.length;
  controller.abort(new Error('no longer'));
  await expect(big).rejects.toThrow('no longer');
  await setImmediate();
  expect(stage.granted.length).toBeGreaterThan(passed);
});

test('a task of several locks is not starved by those that take one of them each', async () => {
  const machine = new Capacity({ tasks: 4 });
  const stage = new Stage();
  using share = machine.join();
  stage.ask(share, 'a-0', lock('a'));
  stage.ask(share, 'b-0', lock('b'));
  await setImmediate();
  stage.ask(share, 'both', lock('a', 'b'));
  for (let i = 1; i < 100; i += 1) {
    stage.ask(share, `a-${i}`, lock('a'));
    stage.ask(share, `b-${i}`, lock('b'));
    await stage.end();
  }
  expect(stage.granted).toContain('both');
  expect(stage.granted.indexOf('both')).toBeLessThanOrEqual(2 + 33);
});

test('a task that waits for a lock keeps no memory and no place from others meanwhile', async () => {
  const machine = new Capacity({ tasks: 2, memoryBytes: 2 });
  const stage = new Stage();
  using share = machine.join();
  stage.ask(share, 'holder', lock('db'));
  await setImmediate();
  stage.ask(share, 'waits', { ...memory(2), locks: ['db'] }, 9);
  for (let i = 0; i < 100; i += 1) {
    stage.ask(share, `small-${i}`, memory(2));
    await setImmediate();
    await stage.end(`small-${i}`);
  }
  expect(stage.granted).toHaveLength(101);
  await stage.end('holder');
  expect(stage.names).toEqual(['waits']);
});

test('a run of 10,000 tasks does not keep a later one waiting', async () => {
  const machine = new Capacity({ tasks: 4 });
  const stage = new Stage();
  using large = machine.join();
  for (let i = 0; i < 10_000; i += 1) stage.ask(large, 'large');
  await setImmediate();
  using small = machine.join();
  for (let i = 0; i < 4; i += 1) stage.ask(small, 'small');
  for (let i = 0; i < 8; i += 1) await stage.end();
  expect(stage.granted.slice(0, 12).filter((name) => name === 'small')).toHaveLength(4);
});

test('runs that both have enough to do hold equal parts, however long the tasks of one take', async () => {
  const machine = new Capacity({ tasks: 8 });
  const stage = new Stage();
  using long = machine.join();
  using short = machine.join();
  for (let i = 0; i < 400; i += 1) {
    stage.ask(long, 'long');
    stage.ask(short, 'short');
  }
  await setImmediate();
  for (let i = 0; i < 100; i += 1) await stage.end('short');
  expect(stage.names.filter((name) => name === 'long')).toHaveLength(4);
});

test('the run of the higher priority goes first', async () => {
  const machine = new Capacity({ tasks: 1 });
  const stage = new Stage();
  using low = machine.join({ priority: -1 });
  using high = machine.join({ priority: 1 });
  for (let i = 0; i < 3; i += 1) stage.ask(low, 'low');
  for (let i = 0; i < 3; i += 1) stage.ask(high, 'high');
  await setImmediate();
  for (let i = 0; i < 3; i += 1) await stage.end();
  expect(stage.granted).toEqual(['high', 'high', 'high', 'low']);
});

test('a run of a lower priority that has nothing waits sixteen grants a level', async () => {
  const machine = new Capacity({ tasks: 2 });
  const stage = new Stage();
  using high = machine.join({ priority: 3 });
  using low = machine.join();
  for (let i = 0; i < 200; i += 1) stage.ask(high, 'high');
  stage.ask(low, 'low');
  for (let i = 0; i < 100; i += 1) await stage.end();
  expect(stage.granted.indexOf('low')).toBeGreaterThan(16);
  expect(stage.granted.indexOf('low')).toBeLessThanOrEqual(16 * 3 + 1);
});

test('a run of a lower priority that had a task is no hungrier than one that never had one', async () => {
  const machine = new Capacity({ tasks: 1 });
  const stage = new Stage();
  using high = machine.join({ priority: 1 });
  using low = machine.join();
  for (let i = 0; i < 400; i += 1) stage.ask(high, 'high');
  for (let i = 0; i < 400; i += 1) stage.ask(low, 'low');
  for (let i = 0; i < 340; i += 1) await stage.end();
  expect(stage.granted.filter((name) => name === 'low')).toHaveLength(20);
});

test('a run that asked for nothing was not hungry', async () => {
  const machine = new Capacity({ tasks: 2 });
  const stage = new Stage();
  using high = machine.join({ priority: 1 });
  using low = machine.join();
  for (let i = 0; i < 300; i += 1) stage.ask(high, 'high');
  for (let i = 0; i < 100; i += 1) await stage.end();
  const before = stage.granted.length;
  stage.ask(low, 'low');
  for (let i = 0; i < 100; i += 1) await stage.end();
  expect(stage.granted.indexOf('low')).toBe(before + 16);
});

test('a run that was suspended was not hungry', async () => {
  const machine = new Capacity({ tasks: 2 });
  const stage = new Stage();
  using high = machine.join({ priority: 1 });
  using low = machine.join();
  const pause = low.suspend();
  stage.ask(low, 'low');
  for (let i = 0; i < 300; i += 1) stage.ask(high, 'high');
  for (let i = 0; i < 100; i += 1) await stage.end();
  const before = stage.granted.length;
  pause[Symbol.dispose]();
  for (let i = 0; i < 100; i += 1) await stage.end();
  expect(stage.granted.indexOf('low')).toBe(before + 16);
});

test('runs that have nothing take turns', async () => {
  const machine = new Capacity({ tasks: 1 });
  const stage = new Stage();
  using one = machine.join();
  using other = machine.join();
  for (let i = 0; i < 3; i += 1) stage.ask(one, 'one');
  for (let i = 0; i < 3; i += 1) stage.ask(other, 'other');
  for (let i = 0; i < 6; i += 1) await stage.end();
  expect(stage.granted).toEqual(['one', 'other', 'one', 'other', 'one', 'other']);
});

test('a suspended run is granted nothing until each suspension is over', async () => {
  const machine = new Capacity({ tasks: 2 });
  const stage = new Stage();
  using share = machine.join();
  using other = machine.join();
  const [first, second] = [share.suspend(), share.suspend()];
  stage.ask(share, 'paused');
  stage.ask(other, 'free');
  await setImmediate();
  expect(stage.names).toEqual(['free']);
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  await setImmediate();
  expect(stage.names).toEqual(['free']);
  second[Symbol.dispose]();
  await setImmediate();
  expect(stage.names).toEqual(['free', 'paused']);
});

test('a suspended run that had waited long keeps no room from others', async () => {
  const machine = new Capacity({ tasks: 4, memoryBytes: 4 });
  const stage = new Stage();
  using share = machine.join();
  using other = machine.join();
  stage.ask(other, 'first', memory(1));
  await setImmediate();
  stage.ask(share, 'big', memory(4));
  for (let i = 0; i < 100; i += 1) stage.ask(other, 'small', memory(1));
  await setImmediate();
  while (stage.names.includes('small')) await stage.end('small');
  expect(stage.granted.length).toBeLessThan(40);
  using pause = share.suspend();
  await setImmediate();
  while (stage.names.includes('small')) await stage.end('small');
  await stage.end('first');
  expect(stage.granted).toHaveLength(101);
  expect(stage.names).toEqual([]);
  pause[Symbol.dispose]();
  await setImmediate();
  expect(stage.names).toEqual(['big']);
});

const wish = fc.record({
  run: fc.nat(2),
  claim: fc.record({
    cpuMilli: fc.nat(5000),
    memoryBytes: fc.nat(12),
    locks: fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 3 }),
  }),
  rank: fc.nat(5),
});

test('whatever is asked, no more is granted than there is, and everybody gets a turn', async () => {
  const totals = { tasks: 3, cpuMilli: 4000, memoryBytes: 8 };
  await fc.assert(
    fc.asyncProperty(
      fc.array(wish, { minLength: 1, maxLength: 60 }),
      fc.integer({ min: 1, max: 3 }),
      fc.infiniteStream(fc.nat(2)),
      async (wishes, atOnce, ends) => {
        const machine = new Capacity(totals);
        const shares = [0, 1, 2].map((priority) => machine.join({ priority, atOnce }));
        const running: { run: number; claim: Claim; lease: Disposable }[] = [];
        let granted = 0;
        for (const { run, claim, rank } of wishes) {
          shares[run]?.ask({
            claim,
            rank,
            granted: (lease) => {
              granted += 1;
              running.push({ run, claim, lease });
            },
          });
        }
        await Promise.resolve();
        while (running.length > 0) {
          const sum = (key: 'cpuMilli' | 'memoryBytes') =>
            running.reduce((all, { claim }) => all + Math.min(claim[key], totals[key]), 0);
          const locks = running.flatMap(({ claim }) => [...new Set(claim.locks)]);
          expect(running.length).toBeLessThanOrEqual(totals.tasks);
          expect(sum('cpuMilli')).toBeLessThanOrEqual(totals.cpuMilli);
          expect(sum('memoryBytes')).toBeLessThanOrEqual(totals.memoryBytes);
          expect(new Set(locks).size).toBe(locks.length);
          for (const i of [0, 1, 2]) {
            expect(running.filter(({ run }) => run === i).length).toBeLessThanOrEqual(atOnce);
          }
          const at = (ends.next().value ?? 0) % running.length;
          running.splice(at, 1)[0]?.lease[Symbol.dispose]();
          await Promise.resolve();
        }
        expect(granted).toBe(wishes.length);
        expect(machine.waiting).toBe(0);
        expect(machine.free).toBe(totals.tasks);
      },
    ),
    { numRuns: 100 },
  );
});
