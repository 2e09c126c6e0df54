import { expect, test } from 'vitest';
import { limitNames } from '#contract/limits.ts';
import { decide, type JudgeFacts } from '#daemon/policy/decide.ts';
import { seal, type EffectivePolicy } from '#daemon/policy/effective.ts';
import { rules } from '#daemon/policy/rules/index.ts';
import type { Mount, SandboxSpec } from '#daemon/policy/spec.ts';
import { baseEnvironment } from '#daemon/tools/environment.ts';
import { seccompOf } from '#test/support/seccomp.ts';
import { shippedPolicy, testImage, testImageId } from '#test/support/policies.ts';

const policy = shippedPolicy('ci');
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
  roots: ['/state/layers', '/state/snapshots'],
};
const overlay: Mount = {
  kind: 'overlay',
  lower: ['/state/snapshots/a'],
  upper: '/state/layers/1/up',
  work: '/state/layers/1/work',
  target: '/workspace',
};
const good: SandboxSpec = {
  role: 'task',
  name: 'orc-r-1-build-1',
  image: testImage,
  command: ['npm', 'test'],
  cwd: '/workspace',
  env: { ...baseEnvironment, CI: 'true' },
  user: { uid: 1000, gid: 1000 },
  runtime: 'runc',
  seccomp: { profile: 'builtin' },
  apparmor: undefined,
  limits: policy.limits,
  mounts: [overlay, { kind: 'tmpfs', target: '/tmp', sizeBytes: 1024, executable: false }],
  labels: {
    'orchestra.install': 'i',
    'orchestra.run': 'r',
    'orchestra.task': 't',
    'orchestra.attempt': '1',
  },
  secrets: [],
};
const judge = (
  change: Partial<SandboxSpec>,
  under: EffectivePolicy = policy,
  known: JudgeFacts = facts,
): string[] => {
  const decision = decide({ ...good, ...change }, under, known);
  return decision.allow ? [] : decision.reasons.map((reason) => reason.rule);
};
const bind = (source: string, target = '/opt/npm-cache'): Mount => ({
  kind: 'bind',
  source,
  target,
  readonly: true,
});

test('a spec that keeps to the policy is allowed', () => {
  expect(decide(good, policy, facts)).toEqual({ allow: true });
  expect(judge({ mounts: [overlay, bind('/state/layers/cache')] })).toEqual([]);
});

const otherId = `sha256:${'2'.repeat(64)}`;
test.each<[string, string, Partial<SandboxSpec>]>([
  ['another image', 'image', { image: { reference: 'debian:12', id: testImageId } }],
  ['another id', 'image', { image: { reference: 'node:20-alpine', id: otherId } }],
  ['no command', 'command', { command: [] }],
  ['an empty program', 'command', { command: [''] }],
  ['a NUL', 'command', { command: ['node', 'a\0b'] }],
  ['an endless argument', 'command', { command: ['node', 'x'.repeat(128 * 1024)] }],
  ['a directory outside', 'command', { cwd: '/etc' }],
  ['a way out', 'command', { cwd: '/workspace/../etc' }],
  ['a directory that only begins alike', 'command', { cwd: '/workspace2' }],
  ['another PATH', 'environment', { env: { PATH: '/workspace/bin' } }],
  ['a preload', 'environment', { env: { LD_PRELOAD: 'x' } }],
  ['a name that is not on the list', 'environment', { env: { SECRET: 'x' } }],
  ['a name that is none', 'environment', { env: { 'A=B': 'x' } }],
  ['root', 'identity', { user: { uid: 0, gid: 1000 } }],
  ['the group of root', 'identity', { user: { uid: 1000, gid: 0 } }],
  ['a user that is no number', 'identity', { user: { uid: Number.NaN, gid: 1 } }],
  ['no labels', 'identity', { labels: {} }],
  ['a name with a slash', 'identity', { name: 'a/b' }],
  ['a runtime that is not allowed', 'runtime', { runtime: 'kata' }],
  ['a runtime that the engine lacks', 'runtime', { runtime: 'crun' }],
  [
    'a profile that allows by default',
    'confinement',
    { seccomp: seccompOf('{"defaultAction":"SCMP_ACT_ALLOW"}') },
  ],
  [
    'a profile that only logs',
    'confinement',
    { seccomp: seccompOf('{"defaultAction":"SCMP_ACT_LOG"}') },
  ],
  ['a profile that is not JSON', 'confinement', { seccomp: seccompOf('null') }],
  ['no AppArmor by name', 'confinement', { apparmor: 'unconfined' }],
  ['a mount of the host', 'mounts', { mounts: [bind('/etc')] }],
  ['a root itself', 'mounts', { mounts: [bind('/state/layers')] }],
  ['a mount that only begins alike', 'mounts', { mounts: [bind('/state/layers2/x')] }],
  ['a mount that leads upwards', 'mounts', { mounts: [bind('/state/layers/../../etc')] }],
  ['a mount with an option in it', 'mounts', { mounts: [bind('/state/layers/a,upperdir=/etc')] }],
  ['a target that is not known', 'mounts', { mounts: [bind('/state/layers/x', '/etc')] }],
  ['two mounts on one target', 'mounts', { mounts: [overlay, overlay] }],
  ['an upper layer outside', 'mounts', { mounts: [{ ...overlay, upper: '/etc' }] }],
  [
    'a tmpfs above the limit',
    'mounts',
    { mounts: [{ kind: 'tmpfs', target: '/tmp', sizeBytes: 2 ** 40, executable: false }] },
  ],
  [
    'a tmpfs over the workspace',
    'mounts',
    { mounts: [{ kind: 'tmpfs', target: '/workspace', sizeBytes: 1, executable: false }] },
  ],
])('%s is refused by rule %s', (_, rule, change) => {
  expect(new Set(judge(change))).toEqual(new Set([rule]));
});

test.each(limitNames)(
  '%s is allowed at the limit, refused one above, at zero and unset',
  (name) => {
    const at = (value: number) => judge({ limits: { ...policy.limits, [name]: value } });
    expect(at(policy.limits[name])).toEqual([]);
    for (const value of [policy.limits[name] + 1, 0, -1, Number.NaN, Infinity, 1.5]) {
      expect(at(value)).toEqual(['limits']);
    }
  },
);

test('what is required and not there is refused', () => {
  const none = { ...facts, engine: { ...facts.engine, seccomp: false } };
  expect(judge({}, policy, none)).toEqual(['confinement']);
  const { digest: _, ...open } = policy;
  const armoured = seal({ ...open, isolation: { ...open.isolation, apparmor: 'required' } });
  expect(judge({ apparmor: 'docker-default' }, armoured)).toEqual(['confinement']);
  const able = { ...facts, engine: { ...facts.engine, apparmor: true } };
  expect(judge({}, armoured, able)).toEqual(['confinement']);
  expect(judge({ apparmor: 'docker-default' }, armoured, able)).toEqual([]);
});

test('SELinux and user namespaces are there where they are required', () => {
  const { digest: _, ...open } = policy;
  const demanding = (isolation: Partial<EffectivePolicy['isolation']>) =>
    seal({ ...open, isolation: { ...open.isolation, ...isolation } });
  const having = (engine: Partial<JudgeFacts['engine']>) => ({
    ...facts,
    engine: { ...facts.engine, ...engine },
  });
  const labelled = demanding({ selinux: 'required' });
  expect(judge({}, labelled)).toEqual(['confinement']);
  expect(judge({}, labelled, having({ selinux: true }))).toEqual([]);
  const mapped = demanding({ userns: 'required' });
  expect(judge({}, mapped)).toEqual(['confinement']);
  expect(judge({}, mapped, having({ userns: true }))).toEqual([]);
  expect(judge({}, mapped, having({ rootless: true }))).toEqual([]);
  expect(judge({ selinux: 'spc_t' })).toEqual(['confinement']);
  expect(judge({ selinux: 'unconfined_t' })).toEqual(['confinement']);
});

test('an image of an origin that is not allowed, or never pinned, is refused', () => {
  const { digest: _, ...open } = policy;
  const pulledOnly = seal({
    ...open,
    images: [{ reference: 'node:20-alpine', digest: 'pinned', origins: ['pulled'] }],
  });
  const assembled = { ...facts, image: { ...facts.image, origin: 'assembled' as const } };
  expect(judge({}, pulledOnly, assembled)).toEqual(['image']);
  const unpinned = { ...facts, image: { ...facts.image, pinned: undefined } };
  expect(judge({}, policy, unpinned)).toEqual(['image']);
});

test('every reason is told, not the first', () => {
  const found = judge({ command: [], cwd: '/', user: { uid: 0, gid: 0 }, runtime: 'x' });
  expect(new Set(found)).toEqual(new Set(['command', 'identity', 'runtime']));
});

const parts = Object.keys(good).filter((key) => key !== 'apparmor');
test.each(parts)('a spec whose %s has another shape is refused', (key) => {
  for (const value of [null, undefined, 7, '', 'null', [], {}, true]) {
    // Some of these are a sound value: no mounts, an empty environment.
    if (key === 'secrets' && Array.isArray(value)) continue;
    if ((key === 'mounts' || key === 'env') && typeof value === 'object' && value !== null)
      continue;
    if (key === 'name' && value === 'null') continue;
    const broken = { ...good, [key]: value };
    expect([value, decide(broken, policy, facts).allow]).toEqual([value, false]);
  }
});

test('what the daemon sets by itself needs no place on the list, another value does', () => {
  const { digest: _, ...open } = policy;
  const closed = seal({ ...open, env: [] });
  expect(judge({ env: { ...baseEnvironment, CI: 'true' } }, closed)).toEqual([]);
  expect(judge({ env: { CI: '1' } }, closed)).toEqual(['environment']);
});

test('every rule is in the registry that is asked', () => {
  expect(Object.keys(rules)).toHaveLength(9);
});

test('a filter that is required and that a runtime ignores counts only where a kernel of its own stands', () => {
  const runtime = 'runsc';
  const allowed: EffectivePolicy = {
    ...policy,
    isolation: { ...policy.isolation, runtimes: [runtime] },
  };
  const known = (family: string, seccomp: string): JudgeFacts => ({
    ...facts,
    engine: {
      ...facts.engine,
      runtimes: [runtime],
      runtimeFacts: { [runtime]: { family, seccomp } },
    },
  });
  expect(judge({ runtime }, allowed, known('unknown', 'ignored'))).toEqual(['confinement']);
  expect(judge({ runtime }, allowed, known('gvisor', 'ignored'))).toEqual([]);
  expect(judge({ runtime }, allowed, known('runc', 'kernel'))).toEqual([]);
});
