import { expect, test } from 'vitest';
import { decide, type JudgeFacts } from '#daemon/policy/decide.ts';
import { seal, type EffectivePolicy } from '#daemon/policy/effective.ts';
import { secretsBytes, secretsTarget, type Mount, type SandboxSpec } from '#daemon/policy/spec.ts';
import { shippedPolicy, testImage, testImageId } from '#test/support/policies.ts';
import { testSpec } from '#test/support/sandbox-spec.ts';

const { digest: _, ...open } = shippedPolicy('default');
const policy = seal({
  ...open,
  secrets: [
    { name: 'TOKEN', tools: ['npm', 'node'], tasks: ['publish', 'release:*'] },
    { name: 'TOKEN', tools: ['sh'], tasks: ['sign'] },
    { name: 'KEY', tools: ['npm'], tasks: [] },
  ],
});
const task = { id: 'publish', tool: 'npm' };
const facts: JudgeFacts = {
  engine: {
    runtimes: ['runc'],
    seccomp: true,
    apparmor: false,
    selinux: false,
    userns: false,
    rootless: false,
  },
  image: { ...testImage, origin: 'pulled', pinned: testImageId },
  task,
  roots: [],
};
const user = { uid: 1000, gid: 1000 };
const place: Mount = {
  kind: 'tmpfs',
  target: secretsTarget,
  sizeBytes: secretsBytes,
  executable: false,
  owner: user,
};

/** What the rule for secrets has against a spec; other rules are not what is asked here. */
function reasons(
  change: Partial<SandboxSpec>,
  known: Partial<JudgeFacts> = {},
  under: EffectivePolicy = policy,
): string[] {
  const all = { ...facts, ...known };
  const labels = { ...testSpec().labels, 'orchestra.task': all.task?.id ?? '' };
  const spec = testSpec({ user, labels, secrets: ['TOKEN'], mounts: [place], ...change });
  const decision = decide(spec, under, all);
  if (decision.allow) return [];
  return decision.reasons.filter(({ rule }) => rule === 'secrets').map(({ message }) => message);
}

test.each<[string, JudgeFacts['task']]>([
  ['another tool', { id: 'publish', tool: 'sh' }],
  ['another id', { id: 'build', tool: 'npm' }],
  ['an id that only begins alike', { id: 'publish-it', tool: 'npm' }],
  ['the tool of one line and the id of another', { id: 'sign', tool: 'npm' }],
  ['nobody knows which task', undefined],
])('a secret is denied to %s', (_name, asking) => {
  // Without a task the label stands for one that only claims to be it.
  const change = asking === undefined ? { labels: { 'orchestra.task': 'publish' } } : {};
  const { task: _task, ...rest } = facts;
  const decision = decide(
    testSpec({ user, secrets: ['TOKEN'], mounts: [place], ...change }),
    policy,
    asking === undefined ? rest : { ...facts, task: asking },
  );
  expect(decision.allow ? [] : decision.reasons.map(({ rule }) => rule)).toContain('secrets');
});

test('a secret that no line grants, or grants to nobody, is denied', () => {
  expect(reasons({ secrets: ['OTHER'] })).toHaveLength(1);
  expect(reasons({ secrets: ['KEY'] })).toHaveLength(1);
  expect(reasons({}, {}, shippedPolicy('default'))).toHaveLength(1);
});

test('a task that says it is another one gets nothing', () => {
  expect(reasons({ labels: { ...testSpec().labels, 'orchestra.task': 'build' } })).toHaveLength(1);
});

test.each<[string, Partial<SandboxSpec>]>([
  ['no place for them', { mounts: [] }],
  ['a place and no secrets', { secrets: [] }],
  ['a place that can be executed', { mounts: [{ ...place, executable: true }] }],
  ['a place of another size', { mounts: [{ ...place, sizeBytes: 4096 }] }],
  ['a place that is open to all', { mounts: [{ ...place, owner: { uid: 1, gid: 1 } }] }],
  ['the same secret twice', { secrets: ['TOKEN', 'TOKEN'] }],
  ['a way out as a name', { secrets: ['../TOKEN'] }],
  [
    'more of them than a task may have',
    { secrets: Array.from({ length: 17 }, (__, i) => `S${i}`) },
  ],
])('a spec with %s is refused', (_name, change) => {
  expect(reasons(change).length).toBeGreaterThan(0);
});

test('a secret is granted where one line covers name, tool and id', () => {
  expect(reasons({})).toEqual([]);
  expect(reasons({}, { task: { id: 'release:eu', tool: 'node' } })).toEqual([]);
  expect(reasons({}, { task: { id: 'sign', tool: 'sh' } })).toEqual([]);
  expect(reasons({ secrets: [], mounts: [] })).toEqual([]);
});
