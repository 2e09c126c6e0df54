import { expect, test } from 'vitest';
import type { LayerEntry } from '#contract/snapshot.ts';
import type { ActionFacts } from '#daemon/runs/cache/action.ts';
import { differences, type Behind } from '#daemon/runs/cache/differences.ts';
import { someDigest } from '#test/support/records.ts';

const facts: ActionFacts = {
  version: 1,
  command: ['npm', 'test'],
  env: { CI: 'true', TOP: '5' },
  cwd: '/workspace',
  image: someDigest('a'),
  user: { uid: 1000, gid: 1000 },
  runtime: 'runc',
  filter: 'builtin',
  limits: {
    cpuMilli: 2000,
    memoryBytes: 1024 ** 3,
    pids: 64,
    openFiles: 64,
    fileSizeBytes: 1024,
    tmpBytes: 1024,
  },
  packages: someDigest('b'),
  snapshot: someDigest('1'),
  layers: [someDigest('2'), someDigest('3')],
  outputs: [],
};
const nothing: Behind = { taskOf: () => undefined, entriesOf: () => undefined };
const file = (path: string, digit = '0'): LayerEntry => ({
  type: 'file',
  path,
  executable: false,
  bytes: 1,
  digest: someDigest(digit),
});
const between = (change: Partial<ActionFacts>, before = nothing, after = nothing) =>
  differences({ facts, behind: before }, { facts: { ...facts, ...change }, behind: after });

test('the same facts differ in nothing', () => {
  expect(between({})).toEqual([]);
});

test.each<[Partial<ActionFacts>, string]>([
  [{ command: ['npm', 'run', 'a b'] }, 'its command changed from npm test to npm run "a b"'],
  [{ env: { CI: 'true', TOP: '6' } }, 'the variable TOP changed from "5" to "6"'],
  [{ env: { CI: 'true' } }, 'the variable TOP is not set any more'],
  [
    { env: { ...facts.env, constructor: '' } },
    'the variable constructor is "" now, and was not set',
  ],
  [{ cwd: '/workspace/app' }, 'its directory changed from /workspace to /workspace/app'],
  [{ outputs: [{ name: 'a', path: 'a', required: true }] }, 'its outputs changed'],
  [{ runtime: 'gvisor' }, 'the runtime changed from runc to gvisor'],
  [{ filter: someDigest('c') }, 'the filter of system calls changed'],
  [{ apparmor: 'x' }, 'the AppArmor profile is x now, and was not set'],
  [{ user: { uid: 1, gid: 2 } }, 'the user changed from 1000:1000 to 1:2'],
  [{ limits: { ...facts.limits, cpuMilli: 4000 } }, 'the limit cpus changed from 2 cpus to 4 cpus'],
  [{ packages: someDigest('d') }, 'the packages that the lockfile pins changed'],
  [{ snapshot: someDigest('9') }, 'the workspace changed'],
  [{ partial: true }, 'it sees only what its inputs name now'],
  [
    { layers: [someDigest('2')], older: someDigest('4') },
    'the tasks before it, or their order, changed',
  ],
  [{ layers: [someDigest('3'), someDigest('2')] }, 'the tasks before it, or their order, changed'],
  [{ layers: [someDigest('2'), someDigest('4')] }, 'what a task before it left changed'],
])('%j is said in words', (change, sentence) => {
  expect(between(change)).toEqual([sentence]);
});

test('a changed file is named, and before the layer that another task made of it', () => {
  const side = (digit: string, layers: Record<string, string>): Behind => ({
    snapshot: [{ type: 'dir', path: 'src' }, file('src/b.ts', digit), file('src/a.ts', digit)],
    taskOf: (layer) => layers[layer],
    entriesOf: (layer) => [file('dist/x.js', layer[7])],
  });
  const change = { snapshot: someDigest('9'), layers: [someDigest('2'), someDigest('4')] };
  const said = between(
    change,
    side('0', { [someDigest('2')]: 'install', [someDigest('3')]: 'build' }),
    side('5', { [someDigest('2')]: 'install', [someDigest('4')]: 'build' }),
  );
  expect(said).toEqual([
    'src/a.ts changed, and 1 more',
    'what build left changed: dist/x.js changed',
  ]);
});

test.each<[LayerEntry[], LayerEntry[], string]>([
  [[], [file('new.ts')], 'new.ts is new'],
  [[file('old.ts')], [], 'old.ts is gone'],
  [[{ type: 'dir', path: 'a' }], [], 'a is gone'],
  [[], [{ type: 'dir', path: 'a' }, file('a/x')], 'a/x is new'],
  [[file('x')], [{ ...file('x'), executable: true } as LayerEntry], 'x changed'],
  [[], [file('a\u001b[31m\n')], '"a\\u001b[31m\\n" is new'],
])('from %j to %j', (before, after, sentence) => {
  const said = between(
    { snapshot: someDigest('9') },
    { ...nothing, snapshot: before },
    { ...nothing, snapshot: after },
  );
  expect(said).toEqual([sentence]);
});

test('a task before it that is new, and one that is gone, are named', () => {
  const named = (names: Record<string, string>): Behind => ({
    ...nothing,
    taskOf: (l) => names[l],
  });
  const said = between(
    { layers: [someDigest('2'), someDigest('4')] },
    named({ [someDigest('2')]: 'install', [someDigest('3')]: 'old' }),
    named({ [someDigest('2')]: 'install', [someDigest('4')]: 'fresh' }),
  );
  expect(said).toEqual(['what fresh left is new to it', 'it does not see any more what old left']);
});
