import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Digest } from '#contract/ids.ts';
import type { AnyRecord } from '#contract/records.ts';
import type { AdvertisedTool } from '#contract/tools.ts';
import { InForce } from '#daemon/audit/retention/in-force.ts';
import { AllowedTools } from '#daemon/runs/tools/allowed.ts';

const digest = (digit: string): Digest => `sha256:${digit.repeat(64)}`;
const [imageA, imageB] = [digest('a'), digest('b')];
const node: AdvertisedTool = { name: 'node', path: '/usr/local/bin/node', binary: digest('1') };

let seq = 0;
const record = (type: string, data: object, at = (seq += 1)) =>
  ({ type, seq: at, ts: '2026-01-01T00:00:00.000Z', data }) as unknown as AnyRecord;
const allow = (more: object = {}, at?: number) =>
  record(
    'tool.allowed',
    {
      uid: 1000,
      name: 'node',
      binary: node.binary,
      image: imageA,
      request: 'q-1',
      by: [0],
      ...more,
    },
    at,
  );
const withdraw = (uid = 1000, at?: number) => record('tool.withdrawn', { uid, name: 'node' }, at);
const folded = (...records: AnyRecord[]) => {
  const fold = new AllowedTools();
  for (const one of records) fold.fold(one);
  return fold;
};

describe('a program is asked for', () => {
  test('where nobody allowed it', () => {
    expect(folded().standing(1000, imageA, node)).toBe('new');
  });

  test('where another user was allowed it', () => {
    expect(folded(allow({ uid: 1001 })).standing(1000, imageA, node)).toBe('new');
  });

  test('where nobody knows who the user is, whatever is on any list', () => {
    expect(folded(allow(), allow({ uid: 0 })).standing(undefined, imageA, node)).toBe('new');
  });

  test('where its file is another one now', () => {
    expect(folded(allow()).standing(1000, imageA, { ...node, binary: digest('2') })).toBe(
      'changed',
    );
  });

  test('where its image is another one now, though the file is the same', () => {
    expect(folded(allow()).standing(1000, imageB, node)).toBe('changed');
  });

  test('where it was taken off the list', () => {
    expect(folded(allow(), withdraw()).standing(1000, imageA, node)).toBe('new');
  });

  test('where the grant is said again only after it was taken off the list', () => {
    const early = allow();
    expect(folded(early, withdraw(), early).standing(1000, imageA, node)).toBe('new');
  });
});

test('what is granted again after it was taken off the list is on it', () => {
  expect(folded(allow(), withdraw(), allow()).standing(1000, imageA, node)).toBe('allowed');
});

test('another user’s withdrawal takes nothing off', () => {
  expect(folded(allow(), withdraw(1001)).standing(1000, imageA, node)).toBe('allowed');
});

test('two images of one program are two lines, and a withdrawal takes both', () => {
  const fold = folded(allow(), allow({ image: imageB }));
  expect(fold.of(1000).map(({ image }) => image)).toEqual([imageA, imageB]);
  fold.fold(withdraw());
  expect(fold.users()).toEqual([]);
});

test('whatever of the log was pruned, the list is what it would be with all of it', () => {
  const step = fc.record({
    uid: fc.constantFrom(1000, 1001),
    image: fc.constantFrom(imageA, imageB),
    isAllow: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), fc.nat(20), (steps, cut) => {
      const records = steps.map(({ uid, image, isAllow }, at) =>
        isAllow ? allow({ uid, image }, at) : withdraw(uid, at),
      );
      const inForce = new InForce();
      for (const one of records) inForce.fold(one);
      const carried = inForce.before(cut).map(({ of }) => records[of] as AnyRecord);
      const left = records.slice(cut);
      expect(folded(...carried, ...left).all()).toEqual(folded(...records).all());
      // Said again late, after what came meanwhile.
      expect(folded(...left, ...carried).all()).toEqual(folded(...records).all());
    }),
  );
});
