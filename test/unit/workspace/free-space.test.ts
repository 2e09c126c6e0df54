import { expect, test } from 'vitest';
import { FreeSpace, type Marks, type Space } from '#daemon/workspace/free-space.ts';

const GiB = 1024 ** 3;
const MiB = 1024 ** 2;
const space = (change: Partial<Space>): Space => ({
  free: 50 * GiB,
  total: 100 * GiB,
  filesFree: 1_000_000,
  filesTotal: 2_000_000,
  ...change,
});
const at = (change: Partial<Space>, marks?: Marks) =>
  new FreeSpace('/', marks, () => Promise.resolve(space(change)));
const level = (change: Partial<Space>, marks?: Marks) => at(change, marks).level(space(change));

test('nothing is started below the first mark, and what runs is ended below the second', () => {
  expect(level({ free: GiB })).toBe('enough');
  expect(level({ free: GiB - 1 })).toBe('low');
  expect(level({ free: 256 * MiB })).toBe('low');
  expect(level({ free: 256 * MiB - 1 })).toBe('critical');
});

test('files run out as bytes do, where the file system counts them', () => {
  expect(level({ filesFree: 19_999 })).toBe('low');
  expect(level({ filesFree: 4_999 })).toBe('critical');
  expect(level({ filesFree: 0, filesTotal: 0 })).toBe('enough');
});

test('a small file system is usable all the same', () => {
  expect(level({ total: 100 * MiB, free: 50 * MiB })).toBe('enough');
  expect(level({ total: 100 * MiB, free: 9 * MiB })).toBe('low');
  expect(level({ total: 100 * MiB, free: 4 * MiB })).toBe('critical');
});

test('a mark can be a share of the file system', () => {
  const marks: Marks = { refuseBelow: { percent: 20 }, stopBelow: { percent: 10 } };
  expect(level({ free: 20 * GiB }, marks)).toBe('enough');
  expect(level({ free: 20 * GiB - 1 }, marks)).toBe('low');
  expect(level({ free: 10 * GiB - 1 }, marks)).toBe('critical');
});

test('the refusal says how much is left, how much is kept free, and what to do', async () => {
  await expect(at({ free: 100 * MiB }).assert('no run is taken')).rejects.toMatchObject({
    code: 'disk.low',
    message:
      '100 MiB left on the file system of the state directory, 1 GiB are kept free: no run is taken',
    hint: expect.stringContaining('free some space'),
  });
  await expect(at({ filesFree: 7 }).assert('no run is taken')).rejects.toMatchObject({
    message: expect.stringContaining('7 files left'),
  });
  await at({}).assert('no run is taken');
});
