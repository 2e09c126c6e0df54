import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { OrchestraError } from '#contract/errors.ts';
import { changesOf } from '#daemon/runs/changes.ts';
import { inWords, Orchestra, user } from '#test/support/orchestra.ts';

let it: Orchestra;
beforeAll(async () => {
  it = await Orchestra.open({ config: { layers: 'streams' } });
});
afterAll(async () => it[Symbol.asyncDispose]());

const sh = (id: string, more: object = {}) => ({ id, tool: 'sh', args: ['-c', id], ...more });
const files = { 'a.txt': 'a\n', 'src/s': 's\n' };

async function trailOf(run: string): Promise<string[]> {
  return (await it.records(run)).map(inWords);
}

test('a task finds on the engine what the tasks before it left, and nothing of it is mounted', async () => {
  const seen: string[][] = [];
  const kinds: string[] = [];
  it.programs.set('first', {
    effect: ({ mounts }) => void kinds.push(...mounts.map(({ kind }) => kind)),
    inVolume: (volume) => {
      volume.write('made', 'first\n');
      volume.entries.delete('a.txt');
    },
  });
  it.programs.set('second', {
    inVolume: (volume) => void seen.push([...volume.entries.keys()].toSorted()),
  });
  const run = await it.run([sh('first'), sh('second', { deps: ['first'] })], { files });
  expect(kinds.filter((kind) => kind !== 'tmpfs')).toEqual(['volume']);
  expect(seen).toEqual([['made', 'src', 'src/s']]);
  const trail = await trailOf(run);
  expect(trail).toEqual(
    expect.arrayContaining([
      'container.create result first',
      'container.fill intent first',
      'container.fill result first',
      'container.start intent first',
      'layer.sealed first',
    ]),
  );
  expect(trail.indexOf('container.fill result first')).toBeLessThan(
    trail.indexOf('container.start intent first'),
  );
  const { items } = await changesOf(it.rooms.deps, it.rooms.runs, run);
  expect(items.map(({ change, path }) => `${change} ${path}`)).toEqual([
    'deleted a.txt',
    'added made',
  ]);
});

test('of a task that failed nothing is read back', async () => {
  it.programs.set('bad', { exitCode: 3, inVolume: (volume) => volume.write('x', 'x') });
  const before = it.fake.calls.length;
  await it.run([sh('bad', { retries: 0 })], { files });
  expect(it.fake.calls.slice(before)).not.toContain('readBack');
});

test('what cannot be copied there, or read back, is ours: another attempt comes', async () => {
  it.programs.set('again', { inVolume: (volume) => volume.write('made', 'again\n') });
  it.fake.failNext('fill', new OrchestraError('engine.failed', 'no room'));
  it.fake.failNext('readBack', new OrchestraError('engine.unavailable', 'gone'));
  const run = await it.run([sh('again', { retries: 0 })], { files });
  const trail = await trailOf(run);
  expect(trail.filter((words) => words.startsWith('attempt.ended'))).toHaveLength(2);
  expect(trail).toContain('layer.sealed again');
  expect(it.fake.left).toEqual([]);
});

test('an engine that sends what is no workspace gets nothing of it in, and the exit is on record', async () => {
  it.programs.set('odd', {
    inVolume: (volume) => {
      const [, kept] = [...volume.entries][0] ?? [];
      if (kept) volume.entries.set('../../out', { ...kept, entry: { ...kept.entry, name: 'x' } });
    },
  });
  const run = await it.run([sh('odd', { retries: 0 })], { files });
  const trail = await trailOf(run);
  expect(trail.join('\n')).toMatch(/container\.exited .*odd/);
  expect(trail).not.toContain('layer.sealed odd');
  expect(trail.at(-1)).toMatch(/^run\.closed failed/);
  expect(readdirSync(join(it.stateDir, 'l')).length).toBeLessThan(10);
});

test('a run that is cancelled while its layers are on their way starts nothing', async () => {
  const filling = Promise.withResolvers<void>();
  it.listen((call) => {
    if (call !== 'fill') return;
    filling.resolve();
    return new Promise((resolve) => setTimeout(resolve, 300));
  });
  const run = await it.submit([sh('slow')], { files });
  await filling.promise;
  await it.rooms.runs.cancel(run, 'enough', user);
  await it.ended(run);
  it.listen();
  const trail = await trailOf(run);
  expect(trail).not.toContain('container.start intent slow');
  expect(trail.at(-1)).toMatch(/^run\.closed/);
  expect(it.fake.left).toEqual([]);
});
