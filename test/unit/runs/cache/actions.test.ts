import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { AnyRecord } from '#contract/records.ts';
import { ActionCache } from '#daemon/runs/cache/actions.ts';
import {
  artifactCollected,
  layerSealed,
  note,
  runClosed,
  someDigest,
  someRun,
  taskFinished,
} from '#test/support/records.ts';

const build = { obj: { task: 'build' } };
const action = someDigest('a');
const started = (of = action, attempt = 1) =>
  note('task.started', { attempt, spec: someDigest('2'), action: of }, build);
const accepted = note('run.accepted', {
  plan: someDigest('5'),
  policy: someDigest('6'),
  tasks: 1,
  image: 'image',
});
const output = someDigest('d');
const succeeded = (more = {}) => taskFinished('build', 'succeeded', { output, ...more });
const story = [accepted, started(), artifactCollected('build', 'dist'), layerSealed('build', '7')];
const cached = (of = action) =>
  note(
    'task.cached',
    {
      from_run: 'r-1111111111',
      from_task: 'compile',
      attempt: 2,
      why: 'cache',
      action: of,
      layer: someDigest('8'),
      output_bytes: 3,
      output_truncated: false,
      duration_ms: 4,
    },
    build,
  );

function folded(records: readonly AnyRecord[], cache = new ActionCache()): ActionCache {
  for (const record of records) cache.fold(record);
  return cache;
}

test.each<[string, AnyRecord[]]>([
  ['failed', [...story, taskFinished('build', 'failed')]],
  ['is not over', story],
  ['said too much', [...story, succeeded({ output_truncated: true })]],
  ['sealed nothing', [accepted, started(), succeeded()]],
  [
    'is not cacheable',
    [
      accepted,
      note('task.started', { attempt: 1, spec: someDigest('2') }, build),
      layerSealed('build', '7'),
      succeeded(),
    ],
  ],
  [
    'left something out',
    [...story, note('layer.left_out', { attempt: 1, entries: 1, first: [] }, build), succeeded()],
  ],
  [
    'made an artifact of which something was left out',
    [
      ...story,
      note('artifact.left_out', { name: 'dist', entries: 1, first: [] }, build),
      succeeded(),
    ],
  ],
  [
    'made an output that was too large',
    [
      ...story,
      note('artifact.rejected', { name: 'a', path: 'a', reason: 'too many files' }, build),
      succeeded(),
    ],
  ],
  [
    'was sealed and lost in the same breath',
    [
      ...story,
      note(
        'attempt.ended',
        {
          attempt: 1,
          outcome: 'lost',
          duration_ms: 1,
          cpu_ms: 1,
          memory_peak_bytes: 1,
          output_bytes: 0,
          output_truncated: false,
        },
        build,
      ),
      succeeded(),
    ],
  ],
  ['was open when its run closed', [...story, runClosed('unknown'), succeeded()]],
])('a task that %s counts for nobody', (_, records) => {
  expect(folded(records).size).toBe(0);
});

test('what succeeded is found with all that it left', () => {
  expect(folded([...story, succeeded()]).find(action)).toEqual({
    run: someRun,
    task: 'build',
    attempt: 1,
    action,
    layer: someDigest('7'),
    output,
    outputBytes: 2,
    outputTruncated: false,
    durationMs: 5,
    artifacts: [{ name: 'dist', path: 'dist.txt', sha256: '3'.repeat(64), bytes: 7, kind: 'file' }],
    policy: someDigest('6'),
  });
});

test('only what the attempt that succeeded left is found, and that it was flaky', () => {
  const failed = note(
    'attempt.ended',
    {
      attempt: 1,
      outcome: 'failed',
      duration_ms: 1,
      cpu_ms: 1,
      memory_peak_bytes: 1,
      output_bytes: 0,
      output_truncated: false,
    },
    build,
  );
  const second = [
    started(action, 2),
    layerSealed('build', '9'),
    succeeded({ attempt: 2, flaky: true }),
  ];
  const found = folded([...story, failed, ...second]).find(action);
  expect(found).toMatchObject({ attempt: 2, layer: someDigest('9'), artifacts: [], flaky: true });
});

test('an optional output that is not there keeps nobody from counting', () => {
  const missing = note('artifact.rejected', { name: 'a', path: 'a', reason: 'not there' }, build);
  expect(folded([...story, missing, succeeded()]).size).toBe(1);
});

test('who uses a result keeps it young, and brings it back with its artifacts', () => {
  const cache = folded([...story, cached()], new ActionCache(1));
  expect(cache.find(action)).toMatchObject({ run: 'r-1111111111', task: 'compile', attempt: 2 });
  const again = folded([...story.filter(({ type }) => type !== 'task.started'), cached()]);
  expect(again.find(action)?.artifacts).toHaveLength(1);
});

test('a use does not move the result to the run that used it', () => {
  const later = { run: 'r-2222222222' };
  const cache = folded([...story, succeeded(), { ...cached(), ...later }]);
  expect(cache.find(action)).toMatchObject({ run: someRun, task: 'build' });
});

test('what turned out to be gone is forgotten until somebody does it again', () => {
  const cache = folded([...story, succeeded()]);
  cache.forget(action);
  expect(cache.find(action)).toBeUndefined();
  folded([...story, succeeded({ attempt: 4 })], cache);
  expect(cache.find(action)?.attempt).toBe(4);
});

test('it holds no more than it may, and those that were used last', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 40 }), (uses) => {
      const cache = new ActionCache(3);
      for (const use of uses) {
        folded([started(someDigest(String(use))), layerSealed('build', '7'), succeeded()], cache);
      }
      const last = [...new Set(uses.toReversed())].slice(0, 3);
      expect(cache.size).toBe(last.length);
      for (const use of last) expect(cache.find(someDigest(String(use)))).toBeDefined();
    }),
  );
});

test('records of no run, or of no task, are nothing to it', () => {
  const { run: _run, ...without } = succeeded();
  expect(folded([without as AnyRecord, note('run.unpaused', { reason: '' })]).size).toBe(0);
});
