import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { limitNames } from '#contract/limits.ts';
import { floorBreaches, seccompJudge } from '#daemon/engine/floor.ts';
import type { Mount, SandboxSpec } from '#daemon/policy/spec.ts';
import { seccompOf } from '#test/support/seccomp.ts';
import { testLimits, testSpec } from '#test/support/sandbox-spec.ts';

const facts = {
  roots: ['/state/layers', '/state/snapshots'],
  secrets: ['/state/log', '/state/layers/keys', '/run/engine.sock', '/home/me'],
};
const breaches = (change: Partial<SandboxSpec>) => floorBreaches(testSpec(change), facts);
const bind = (source: string, target = '/data'): Mount => ({
  kind: 'bind',
  source,
  target,
  readonly: true,
});
const overlay = (change: object = {}): Mount => ({
  kind: 'overlay',
  lower: ['/state/snapshots/a'],
  upper: '/state/layers/u',
  work: '/state/layers/w',
  target: '/workspace',
  ...change,
});

test('an ordinary spec breaks nothing', () => {
  expect(breaches({ mounts: [overlay(), bind('/state/snapshots/b')] })).toEqual([]);
});

test.each([
  ['/', 'the root'],
  ['/state', 'what holds the log'],
  ['/state/layers', 'a root itself'],
  ['/state/log/0001', 'the log'],
  ['/state/layers/keys', 'the keys'],
  ['/state/layers/../log', 'a path with dots'],
  ['/state/layers/a/', 'a trailing slash'],
  ['/state/layers//a', 'a doubled slash'],
  ['/state/layers/a\n', 'a line break'],
  ['/state/layers/a\0', 'a NUL'],
  ['state/layers/a', 'a relative path'],
  ['/state/layersX/a', 'a name that only begins like a root'],
  ['/proc/self', 'the processes'],
  ['/run/docker.sock', 'a socket'],
  ['/var/run/docker.sock', 'a socket by its other name'],
  ['/home/me/project', 'a home'],
  ['', 'nothing'],
])('a mount from %j is refused: %s', (source) => {
  expect(breaches({ mounts: [bind(source)] })).not.toEqual([]);
  expect(breaches({ mounts: [overlay({ lower: ['/state/snapshots/a', source] })] })).not.toEqual(
    [],
  );
  expect(breaches({ mounts: [overlay({ upper: source })] })).not.toEqual([]);
  expect(breaches({ mounts: [overlay({ work: source })] })).not.toEqual([]);
});

test.each(['/state/layers/a:b', '/state/layers/a,b', String.raw`/state/layers/a\b`])(
  'an overlay path that could end an option is refused: %s',
  (path) => {
    expect(breaches({ mounts: [overlay({ upper: path })] })).not.toEqual([]);
    expect(breaches({ mounts: [overlay({ lower: [path] })] })).not.toEqual([]);
  },
);

test.each([
  '/',
  '/proc',
  '/proc/sys',
  '/sys/fs',
  '/dev/shm',
  '/etc/passwd',
  '/usr/bin',
  'tmp',
  '/a/../proc',
])('a mount over %s is refused', (target) => {
  expect(breaches({ mounts: [bind('/state/layers/a', target)] })).not.toEqual([]);
});

test('an overlay whose options do not fit into a page is refused', () => {
  const layers = (count: number) =>
    Array.from({ length: count }, (_, n) => `/state/layers/${String(n).padStart(36, '0')}`);
  expect(breaches({ mounts: [overlay({ lower: layers(70) })] })).toEqual([]);
  expect(breaches({ mounts: [overlay({ lower: layers(100) })] })).toHaveLength(1);
});

test('two mounts on one target are refused', () => {
  expect(breaches({ mounts: [overlay(), bind('/state/layers/a', '/workspace')] })).toHaveLength(1);
});

test('a writable directory of the host is refused, whatever the types say', () => {
  const mount = { ...bind('/state/layers/a'), readonly: false } as unknown as Mount;
  expect(breaches({ mounts: [mount] })).toHaveLength(1);
});

test.each(limitNames)('the limit %s is always set, whole and finite', (name) => {
  for (const value of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, undefined]) {
    const limits = { ...testLimits, [name]: value };
    expect(breaches({ limits })).toEqual([`the limit ${name} is not a whole number above zero`]);
  }
});

test('user and group are numbers and never 0, nor anything that becomes 0', () => {
  for (const id of [0, -1, 0.4, Number.NaN, 65_535, 2 ** 32]) {
    expect(breaches({ user: { uid: id, gid: 1000 } })).toHaveLength(1);
    expect(breaches({ user: { uid: 1000, gid: id } })).toHaveLength(1);
  }
  expect(breaches({ user: { uid: 1, gid: 65_534 } })).toEqual([]);
});

test('an image by name instead of digest is refused', () => {
  expect(breaches({ image: { reference: 'a', id: 'a:latest' } })).toHaveLength(1);
});

test('confinement cannot be switched off', () => {
  const custom = (json: string) => breaches({ seccomp: seccompOf(json) });
  expect(custom('{"defaultAction":"SCMP_ACT_ERRNO"}')).toEqual([]);
  expect(custom('{"defaultAction":"SCMP_ACT_ALLOW"}')).toHaveLength(1);
  expect(custom('{}')).toHaveLength(1);
  expect(custom('null')).toHaveLength(1);
  expect(custom('unconfined')).toHaveLength(1);
  expect(breaches({ apparmor: 'unconfined' })).toHaveLength(1);
});

test('a profile under the digest of another is refused, also after the right one was seen', () => {
  const tight = seccompOf('{"defaultAction":"SCMP_ACT_ERRNO"}');
  const other = seccompOf('{"defaultAction":"SCMP_ACT_KILL"}');
  const judgeSeccomp = seccompJudge();
  const judged = (seccomp: SandboxSpec['seccomp']) =>
    floorBreaches(testSpec({ seccomp }), { ...facts, judgeSeccomp });
  expect(judged(tight)).toEqual([]);
  expect(judged({ ...tight, digest: other.digest })).toHaveLength(1);
  expect(judged({ ...tight, json: other.json })).toHaveLength(1);
  expect(judged(tight)).toEqual([]);
});

test('names, commands and variables cannot smuggle anything', () => {
  expect(breaches({ name: '../x' })).toHaveLength(1);
  expect(breaches({ name: 'a?force=1' })).toHaveLength(1);
  expect(breaches({ command: [] })).not.toEqual([]);
  expect(breaches({ command: [''] })).toHaveLength(1);
  expect(breaches({ command: ['sh', 'a\0b'] })).toHaveLength(1);
  expect(breaches({ env: { 'A=B': 'c' } })).toHaveLength(1);
  expect(breaches({ env: { A: 'b\0' } })).toHaveLength(1);
  expect(breaches({ cwd: '../' })).toHaveLength(1);
  expect(breaches({ runtime: '/bin/sh' })).toHaveLength(1);
});

test('whatever the path, a source is beneath a root and outside every secret', () => {
  const part = fc.constantFrom('state', 'layers', 'log', 'keys', '..', '.', '', 'run', 'a', 'home');
  fc.assert(
    fc.property(fc.array(part, { maxLength: 6 }), (parts) => {
      const source = `/${parts.join('/')}`;
      if (breaches({ mounts: [bind(source)] }).length > 0) return true;
      return (
        /^\/state\/(?:layers|snapshots)\/./.test(source) &&
        !source.split('/').includes('..') &&
        !source.startsWith('/state/layers/keys')
      );
    }),
  );
});
