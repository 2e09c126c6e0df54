import { array, assert, constantFrom, property, record } from 'fast-check';
import { expect, test } from 'vitest';
import { isTight, tightenProfile } from '#daemon/engine/drivers/podman/profile.ts';

type Rule = { names: string[]; action: string; args?: unknown[] | null };

const rulesOf = (json: string | undefined) =>
  (JSON.parse(json ?? '') as { syscalls: Rule[] }).syscalls.map((rule) => ({
    ...rule,
    args: rule.args ?? [],
  }));

const tightened = (syscalls: Rule[]) =>
  rulesOf(tightenProfile(JSON.stringify({ defaultAction: 'SCMP_ACT_ERRNO', syscalls })));

const name = constantFrom('read', 'clone', 'clone3', 'unshare', 'mount', 'socket', 'setns');
const action = constantFrom('SCMP_ACT_ALLOW', 'SCMP_ACT_LOG', 'SCMP_ACT_TRACE', 'SCMP_ACT_ERRNO');
const rule = record({
  names: array(name),
  action,
  args: constantFrom<unknown[] | null>(null, [], [{}]),
});

test('whatever a profile allowed, namespaces and mounts are denied afterwards', () => {
  assert(property(array(rule), (rules) => isTight(tightened(rules))));
});

test('what has nothing to do with that stays as it was', () => {
  const read = { names: ['read', 'unshare'], action: 'SCMP_ACT_ALLOW', includes: { caps: ['X'] } };
  expect(tightened([read])[0]).toEqual({ ...read, names: ['read'], args: [] });
});

test.each([
  ['unshare', { names: ['unshare'], args: [] }],
  ['clone with any flags', { names: ['clone'], args: [] }],
  [
    'clone with a smaller mask',
    { names: ['clone'], args: [{ index: 0, value: 1, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }] },
  ],
  ['any socket', { names: ['socket'], args: [] }],
  [
    'socket but for another family',
    { names: ['socket'], args: [{ value: 16, op: 'SCMP_CMP_NE' }] },
  ],
])('a filter that allows %s is not tight', (_, allowed) => {
  expect(isTight([...tightened([]), { action: 'SCMP_ACT_ALLOW', ...allowed }])).toBe(false);
  expect(isTight([{ action: 'SCMP_ACT_NOTIFY', ...allowed }])).toBe(false);
});

test('a profile that allows what it does not name is refused, and so is anything else', () => {
  for (const text of ['', '[]', '{}', '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[]}']) {
    expect(tightenProfile(text)).toBeUndefined();
  }
});
