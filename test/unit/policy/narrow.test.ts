import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Digest } from '#contract/ids.ts';
import { limitNames, type Limits } from '#contract/limits.ts';
import { allowsName } from '#daemon/policy/env-pattern.ts';
import {
  seal,
  type AllowedImage,
  type EffectivePolicy,
  type ImageOrigin,
} from '#daemon/policy/effective.ts';
import { grantsSecret } from '#daemon/policy/secret-grants.ts';
import { narrow } from '#daemon/policy/narrow.ts';
import { shippedPolicy } from '#test/support/policies.ts';

const digests = ['a', 'b'].map((c): Digest => `sha256:${c.repeat(64)}`);
const number = fc.integer({ min: 1, max: 50 });
const some = <T>(...items: T[]) => fc.uniqueArray(fc.constantFrom(...items));
const origins = some<ImageOrigin>('pulled', 'assembled');
const image: fc.Arbitrary<AllowedImage> = fc.record({
  reference: fc.constantFrom('x', 'y'),
  digest: fc.constantFrom<Digest>('pinned', ...digests),
  origins,
});
const patterns = ['A', 'AB', 'A*', 'AB*', 'B', '*'];
const grant = fc.record({
  name: fc.constantFrom('S', 'T'),
  tools: some('npm', 'node'),
  tasks: some('a', 'ab', 'a*', 'ab*', '*'),
});
const demand = fc.constantFrom<'required' | 'preferred' | 'off'>('required', 'preferred', 'off');
const anyPolicy: fc.Arbitrary<EffectivePolicy> = fc
  .record({
    name: fc.constantFrom('p', 'q'),
    images: fc.array(image, { maxLength: 4 }),
    tools: some('npm', 'node', 'sh'),
    env: some(...patterns),
    secrets: fc.array(grant, { maxLength: 3 }),
    limits: fc.record(
      Object.fromEntries(limitNames.map((name) => [name, number])),
    ) as unknown as fc.Arbitrary<Limits>,
    run: fc.record({
      tasks: number,
      concurrency: number,
      timeoutMs: number,
      workspaceFiles: number,
      workspaceBytes: number,
      artifactFiles: number,
      artifactBytes: number,
    }),
    provision: fc.record({
      registries: some('configured', 'npm.example.com'),
      packageBytes: number,
      totalBytes: number,
      packages: number,
    }),
    isolation: fc.record({
      seccomp: fc.constantFrom<'required' | 'preferred'>('required', 'preferred'),
      apparmor: demand,
      selinux: demand,
      userns: demand,
      runtimes: some('runc', 'crun'),
    }),
  })
  .map((lists) => seal({ ...lists, argv: [], mounts: ['packages', 'secrets'], documents: [] }));

// Everything that a policy can be asked, as a set of words: narrower is a smaller set.
function allowed(policy: EffectivePolicy): Set<string> {
  const words: string[] = [];
  for (const reference of ['x', 'y']) {
    for (const origin of ['pulled', 'assembled'] as const) {
      // The image may be pinned to either digest; "pinned" then allows that one alone.
      for (const pinned of digests) {
        for (const id of digests) {
          const fits = policy.images.some(
            (one) =>
              one.reference === reference &&
              one.origins.includes(origin) &&
              (one.digest === 'pinned' ? pinned : one.digest) === id,
          );
          if (fits && id === pinned) words.push(`image ${reference} ${origin} ${pinned} ${id}`);
        }
      }
    }
  }
  words.push(...policy.tools.map((tool) => `tool ${tool}`));
  for (const name of ['A', 'AB', 'ABC', 'AC', 'B', 'BB', 'C']) {
    if (allowsName(policy.env, name)) words.push(`env ${name}`);
  }
  for (const name of ['S', 'T']) {
    for (const tool of ['npm', 'node']) {
      for (const id of ['a', 'ab', 'abc', 'ac', 'b']) {
        const granted = grantsSecret(policy.secrets, name, { id, tool });
        if (granted) words.push(`secret ${name} ${tool} ${id}`);
      }
    }
  }
  const numbers = { ...policy.limits, ...policy.run, ...policy.provision };
  for (const [name, max] of Object.entries(numbers)) {
    if (typeof max === 'number') for (let n = 1; n <= max; n += 1) words.push(`${name} ${n}`);
  }
  words.push(...policy.provision.registries.map((host) => `registry ${host}`));
  words.push(...policy.isolation.runtimes.map((runtime) => `runtime ${runtime}`));
  if (policy.isolation.seccomp === 'preferred') words.push('without seccomp');
  for (const wall of ['apparmor', 'selinux', 'userns'] as const) {
    if (policy.isolation[wall] !== 'required') words.push(`without ${wall}`);
    if (policy.isolation[wall] === 'off') words.push(`not even asking for ${wall}`);
  }
  return words.length === 0 ? new Set() : new Set(words);
}

test('the result allows exactly what both allow, and nothing else', () => {
  fc.assert(
    fc.property(anyPolicy, anyPolicy, (ceiling, requested) => {
      const { policy } = narrow(ceiling, requested);
      const both = allowed(ceiling).intersection(allowed(requested));
      expect([...allowed(policy)].toSorted()).toEqual([...both].toSorted());
    }),
    { numRuns: 300 },
  );
});

test('narrowing again changes nothing, and by itself says nothing', () => {
  fc.assert(
    fc.property(anyPolicy, anyPolicy, (ceiling, requested) => {
      const once = narrow(ceiling, requested).policy;
      expect(narrow(ceiling, once).policy.digest).toBe(once.digest);
      expect(narrow(once, once).narrowed).toEqual([]);
    }),
  );
});

test('what was above the ceiling is said in words', () => {
  const ceiling = shippedPolicy('strict');
  const { policy, narrowed } = narrow(ceiling, shippedPolicy('default'));
  expect(narrowed).toContain('limits.memory: 2 GiB lowered to 512 MiB by policy strict');
  expect(narrowed).toContain('tools: npx, sh, exec not allowed by policy strict');
  expect(narrowed).toContain('env: * cut down by policy strict');
  expect(policy.name).toBe('default');
  expect(policy.digest).not.toBe(shippedPolicy('default').digest);
});

test('a policy in force cannot be edited', () => {
  const policy = shippedPolicy('default') as { limits: { pids: number } };
  expect(() => {
    policy.limits.pids = 1_000_000;
  }).toThrow(TypeError);
});
