import * as fc from 'fast-check';
import { cp, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { AnyRecord } from '#contract/records.ts';
import { ImagePins } from '#daemon/runs/images.ts';
import { PrunedRuns } from '#daemon/runs/prune/pruned-runs.ts';
import { logNeeds } from '#daemon/runs/prune/log-needs.ts';
import { RunStates } from '#daemon/runs/state.ts';
import { ofType, Orchestra, user } from '#test/support/orchestra.ts';
import { verifyLog } from '#verifier/verify.ts';

const task = { id: 'build', tool: 'node', args: ['build.js'] };
/** Nothing is kept but what is needed: whatever is over is old. */
const config = { keep: { keepDays: 0, keepRuns: 2, budget: undefined }, audit: { keepDays: 0 } };
let stateDir: string;

beforeEach(async () => {
  stateDir = await mkdtemp(join(tmpdir(), 'orchestra-pruned-'));
});
afterEach(() => rm(stateDir, { recursive: true, force: true }));

const open = () => Orchestra.open({ stateDir, config, segmentBytes: 20_000 });
const prune = (it: Orchestra) => it.rooms.logPruner.prune({ dryRun: false }, user);
const letRunsGo = (it: Orchestra, keepRuns = 2) =>
  it.rooms.deps.pruner.prune({ dryRun: false, keepRuns }, user);

async function runs(it: Orchestra, count: number): Promise<void> {
  for (let n = 0; n < count; n += 1) await it.run([task]);
}

async function segments(it: Orchestra): Promise<number[]> {
  const names = await readdir(join(it.rooms.auditDir, 'segments'));
  return names.toSorted().map((name) => Number.parseInt(name, 10));
}

test('the log of runs that are kept stays, and the answer names the run', async () => {
  {
    await using it = await open();
    await runs(it, 16);
    // What the daemon said when it began stands in front of them.
    expect((await prune(it)).stop?.detail).toContain('daemon that runs now');
  }
  await using it = await open();
  const { stop, segments: gone } = await prune(it);
  expect(gone).toBe(0);
  expect(stop).toMatchObject({ why: 'needed', detail: expect.stringContaining('is kept') });
});

test('a daemon starts on a log whose front is gone: same runs, pins, keys and holds', async () => {
  let known: unknown;
  let size: number;
  const look = (it: Orchestra) => ({
    runs: it.rooms.deps.states.all(),
    pin: it.rooms.deps.pins.get('node:20-alpine'),
    keys: it.rooms.deps.trail.keys,
    holds: it.rooms.logPruner.holds,
    origin: it.log.origin,
    first: it.log.first,
  });
  {
    await using it = await open();
    const until = '2020-01-01T00:00:00.000Z';
    await it.rooms.logPruner.setHold({ name: 'old', reason: 'of before', until }, user);
    await runs(it, 16);
    // The daemon that runs now needs what it said when it began.
  }
  {
    await using it = await open();
    await runs(it, 3);
    await letRunsGo(it);
    const { to, stop } = await prune(it);
    expect(to).toBeGreaterThan(100);
    expect(stop).toBeDefined();
    expect(await segments(it)).not.toContain(0);
    expect(it.rooms.deps.states.all().every(({ audit }) => audit.first >= to)).toBe(true);
    known = look(it);
    size = it.log.size;
    const proof = await it.rooms.deps.trail.tree.inclusion(5, size);
    expect(proof.length).toBeGreaterThan(5);
  }
  {
    await using it = await open();
    expect(look(it)).toEqual(known);
    // What went is provable still, by the tiles.
    expect((await it.rooms.deps.trail.tree.inclusion(5, size)).length).toBeGreaterThan(5);
    await runs(it, 2);
    const images = ofType(await it.records(), 'image.resolved');
    expect(images).toEqual([]);
  }
  const verdict = await verifyLog(join(stateDir, 'audit'));
  // Nobody told this verifier a key.
  expect(verdict.findings.map(({ reason }) => reason)).toEqual(['unpinned']);
  expect(verdict.exit).toBe(3);
});

test('an image that is another one than it was pinned to is refused after its pin was pruned', async () => {
  {
    await using it = await open();
    await runs(it, 16);
  }
  await using it = await open();
  await runs(it, 2);
  await letRunsGo(it);
  expect((await prune(it)).to).toBeGreaterThan(100);
  await it.stop();
  await using again = await open();
  const facts = again.fake.images.get('node:20-alpine')!;
  again.fake.images.set('node:20-alpine', { ...facts, id: `sha256:${'9'.repeat(64)}` });
  const run = await again.run([task]);
  expect((await again.records(run)).map(({ type }) => type)).toContain('image.refused');
});

test('an open run keeps the log from its first record on', () => {
  const states = {
    all: () => [{ id: 'r-b', audit: { first: 50, last: 60, records: 3 } }],
    find: (id: string) =>
      id === 'r-a' ? { audit: { first: 20, last: 90, records: 9 } } : undefined,
  };
  const needs = logNeeds({
    log: { openRuns: () => ['r-a', 'r-unknown'], first: 7 },
    states,
    pruned: new PrunedRuns(),
    startedSeq: () => 80,
  });
  expect(needs).toMatchObject([
    { from: 20, what: 'run r-a is open' },
    { from: 7, what: 'run r-unknown is open' },
    { from: 50, what: expect.stringContaining('run r-b') },
    { from: 80 },
  ]);
});

test(
  'pruned at any point and started anew, everything that is kept is what it was',
  { timeout: 120_000 },
  async () => {
    const step = fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({ kind: fc.constant('runs'), n: fc.integer({ min: 1, max: 6 }) }),
      },
      {
        weight: 2,
        arbitrary: fc.record({ kind: fc.constant('keep'), n: fc.integer({ min: 0, max: 3 }) }),
      },
      { weight: 3, arbitrary: fc.record({ kind: fc.constant('prune'), n: fc.constant(0) }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant('restart'), n: fc.constant(0) }) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 9 }), async (steps) => {
        const folder = await mkdtemp(join(tmpdir(), 'orchestra-pruned-'));
        const all: AnyRecord[] = [];
        const options = { stateDir: folder, config, segmentBytes: 8_000 };
        let it = await Orchestra.open(options);
        let seen = 0;
        const check = async () => {
          for await (const { record } of it.log.read({ from: seen })) all.push(record as AnyRecord);
          seen = it.log.size;
          const [states, pins] = [new RunStates(), new ImagePins()];
          for (const record of all) {
            states.fold(record);
            pins.fold(record);
          }
          // Those that were let go are forgotten by the same fold.
          expect(it.rooms.deps.states.all()).toEqual(states.all());
          expect(it.rooms.deps.pins.get('node:20-alpine')).toBe(pins.get('node:20-alpine'));
          expect(states.all().every(({ audit }) => audit.first >= it.log.first)).toBe(true);
        };
        try {
          await runs(it, 10);
          await check();
          for (const { kind, n } of steps) {
            if (kind === 'runs') await runs(it, n);
            if (kind === 'keep') await letRunsGo(it, n);
            if (kind === 'prune') await prune(it);
            if (kind === 'restart') {
              await check();
              await it.stop();
              it = await Orchestra.open(options);
            }
            await check();
          }
          // At the end it compares all of its folds with those made from the files.
          await it.stop();
          expect((await verifyLog(join(folder, 'audit'))).exit).not.toBe(1);
        } finally {
          await it.stop();
          await rm(folder, { recursive: true, force: true });
        }
      }),
      { numRuns: 6 },
    );
  },
);

test('a copy of the log from before knows nothing of it and is whole', async () => {
  await using it = await open();
  await runs(it, 3);
  const copy = join(stateDir, 'copy');
  await cp(it.rooms.auditDir, copy, { recursive: true });
  expect((await verifyLog(copy)).findings.map(({ reason }) => reason)).not.toContain(
    'pruned_undeclared',
  );
});
