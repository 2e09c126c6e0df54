import { hash } from 'node:crypto';
import { expect, test } from 'vitest';
import { readSpec, spellSpec } from '#daemon/policy/kept-spec.ts';
import { testSpec } from '#test/support/sandbox-spec.ts';
import { seccompOf, shippedSeccomp } from '#test/support/seccomp.ts';

const gone = () => Promise.reject(new Error('gone'));

test('a kept spec names its profile, and comes back with it', async () => {
  const spec = testSpec({ seccomp: shippedSeccomp() });
  const { spelled, digest } = spellSpec(spec);
  expect(spelled.length).toBeLessThan(4_000);
  expect(digest).toBe(`sha256:${hash('sha256', spelled, 'hex')}`);
  const asked: string[] = [];
  const again = await readSpec(spelled, (profile) => {
    asked.push(profile);
    return Promise.resolve(shippedSeccomp().json);
  });
  expect(again).toEqual(spec);
  expect(asked).toEqual([shippedSeccomp().digest]);
  await expect(readSpec(spelled, gone)).rejects.toThrow('gone');
});

test('two specs that differ in their profile only have two digests', () => {
  const digests = ['{}', '{ }'].map(
    (json) => spellSpec(testSpec({ seccomp: seccompOf(json) })).digest,
  );
  expect(new Set(digests).size).toBe(2);
});

test('the engine’s own profile needs nothing kept', async () => {
  const spec = testSpec({ seccomp: { profile: 'builtin' } });
  expect(await readSpec(spellSpec(spec).spelled, gone)).toEqual(spec);
});
