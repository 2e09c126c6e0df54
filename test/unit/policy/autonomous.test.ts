import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { autonomously, isAutonomous } from '#daemon/policy/autonomous.ts';
import { parsePolicy } from '#daemon/policy/document.ts';
import { effectivePolicy } from '#daemon/policy/effective.ts';
import { narrow } from '#daemon/policy/narrow.ts';
import { shippedPolicy } from '#test/support/policies.ts';

const text = readFileSync(new URL('../../../policies/default.yaml', import.meta.url), 'utf8');
const document = parsePolicy(text, 'default.yaml');
const silent = shippedPolicy('default');
const allowing = (name = 'default') =>
  effectivePolicy({ ...document, name, autonomous: 'allowed' });

test('a policy that is silent, or of which one document is, has no autonomous runs', () => {
  expect(() => autonomously(silent)).toThrow(/allows no autonomous runs/);
  const { policy } = narrow(silent, allowing('own'));
  expect(() => autonomously(policy)).toThrow(/default allows no autonomous runs/);
});

test('it is said once, and stays under whatever the policy is narrowed by later', () => {
  const one = autonomously(allowing());
  expect(autonomously(one)).toBe(one);
  expect(isAutonomous(narrow(silent, one).policy)).toBe(true);
  expect(isAutonomous(narrow(allowing(), structuredClone(one)).policy)).toBe(true);
});

test('a document that calls itself so is not taken for it', () => {
  const named = effectivePolicy({
    ...document,
    name: 'autonomous',
    autonomous: 'allowed',
    tools_growth: 'ask',
  });
  expect(isAutonomous(named)).toBe(false);
});

test('no list or limit is another one, and only asking comes to it', () => {
  const before = allowing();
  const { digest, documents, ...lists } = autonomously(before);
  const { digest: own, documents: had, ...same } = before;
  expect(lists).toEqual(same);
  expect(digest).not.toBe(own);
  expect(documents.slice(1)).toEqual(had);
  expect(documents[0]).toMatchObject({ name: 'autonomous', toolsGrowth: 'ask', profiles: [] });
});
