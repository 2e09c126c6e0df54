import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { DraftTask, PlanTask } from '#contract/plan.ts';
import { draftOf } from '#daemon/planner/replan/draft-of.ts';
import { envelopeOf, widenings } from '#daemon/planner/replan/envelope.ts';
import { errorLine, fingerprintOf, specHash } from '#daemon/planner/replan/fingerprint.ts';
import { merge, type Standing } from '#daemon/planner/replan/merge.ts';
import { readOperations, type Operation } from '#daemon/planner/replan/operations.ts';
import { redact } from '#daemon/planner/replan/redact.ts';
import { remedyFor } from '#daemon/planner/replan/remedies.ts';
import { validateDraft } from '#daemon/planner/validate.ts';
import { shippedPolicy, testImage, testImageTools } from '#test/support/policies.ts';

const policy = shippedPolicy('default');
const context = { planner: 'rules', policy, image: testImage, imageTools: testImageTools };

function draft(id: string, deps: string[] = [], more: Partial<DraftTask> = {}): DraftTask {
  return {
    id,
    title: id,
    why: '',
    tool: 'npm',
    args: ['run', id],
    env: [],
    cwd: '.',
    deps,
    outputs: [],
    inputs: [],
    sideEffects: false,
    locks: [],
    limits: {},
    secrets: [],
    questions: [],
    onFailure: 'stop',
    ...more,
  };
}

function planned(...drafts: DraftTask[]) {
  const made = validateDraft({ version: 1, assumptions: [], tasks: drafts }, context);
  if (!made.ok) throw new Error(JSON.stringify(made.findings));
  return made.plan;
}

const plan = planned(draft('a'), draft('b', ['a']), draft('c', ['b']), draft('d', ['a']));

function standing(
  frozen: string[] = ['a', 'b'],
  tasks: readonly PlanTask[] = plan.tasks,
): Standing {
  return {
    tasks,
    failed: 'b',
    revision: 2,
    isFrozen: (id) => frozen.includes(id),
    isClosed: (id) => id === 'b',
    isTaken: (id) => tasks.some((task) => task.id === id),
  };
}

const denied = (operations: Operation[], how = standing()) => {
  const merged = merge(how, operations);
  return merged.ok ? '' : merged.findings.map(({ message }) => message).join('; ');
};
const mend: Operation = { op: 'replace', id: 'b', task: draft('b', ['a'], { args: ['run', 'x'] }) };

describe('operations on a plan', () => {
  test('move nothing that began, and nothing that is not there', () => {
    expect(denied([mend, { op: 'drop', id: 'a' }])).toContain('a began or is over');
    expect(denied([mend, { op: 'set_deps', id: 'a', deps: [] }])).toContain('a began');
    expect(denied([mend, { op: 'drop', id: 'z' }])).toContain('there is no task "z"');
    expect(denied([mend, mend])).toMatch(/two operations|no task/);
  });

  test('replace what failed: it can neither stay, nor be dropped, nor come again as it was', () => {
    expect(denied([{ op: 'set_deps', id: 'c', deps: [] }])).toContain(
      'b failed and is still there',
    );
    expect(denied([{ op: 'drop', id: 'b' }])).toContain('cannot just be dropped');
    expect(denied([{ op: 'replace', id: 'b', task: draft('b', ['a']) }])).toContain(
      'is what failed',
    );
  });

  test('drop nothing that the plan was made for', () => {
    expect(denied([mend, { op: 'drop', id: 'd' }])).toContain('what the plan was made for');
  });

  test('give a name to one task for ever, and lead what waited for the old one to the new one', () => {
    const merged = merge(standing(), [mend]);
    if (!merged.ok) throw new Error(JSON.stringify(merged.findings));
    const deps = merged.tasks.map((one) =>
      'kept' in one ? [one.kept.id, one.kept.deps] : [one.draft.id, one.draft.deps],
    );
    expect(Object.fromEntries(deps)).toEqual({ a: [], c: ['b-r2'], d: ['a'], 'b-r2': ['a'] });
    expect(merged.superseded).toEqual(['b']);
    expect(merged.steps).toEqual([{ op: 'replace', task: 'b', as: 'b-r2' }]);
  });

  test('do not do twice what is there already under another name', () => {
    const again: Operation = {
      op: 'replace',
      id: 'b',
      task: draft('other', ['a'], { args: ['run', 'd'] }),
    };
    const merged = merge(standing(), [again]);
    if (!merged.ok) throw new Error(JSON.stringify(merged.findings));
    const c = merged.tasks.find((one) => 'kept' in one && one.kept.id === 'c');
    expect(c).toMatchObject({ kept: { deps: ['d'] } });
    expect(merged.tasks).toHaveLength(3);
  });

  test('whatever they are, leave what is frozen as the same object, or are refused', () => {
    const id = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f');
    const operation: fc.Arbitrary<Operation> = fc.oneof(
      fc.record({ op: fc.constant('add' as const), task: id.map((name) => draft(name)) }),
      fc.record({
        op: fc.constant('replace' as const),
        id,
        task: fc.tuple(id, fc.array(id, { maxLength: 3 })).map(([name, deps]) => draft(name, deps)),
      }),
      fc.record({ op: fc.constant('drop' as const), id }),
      fc.record({ op: fc.constant('set_deps' as const), id, deps: fc.array(id, { maxLength: 3 }) }),
    );
    const cases = fc.tuple(fc.array(operation, { maxLength: 5 }), fc.subarray(['a', 'c', 'd']));
    fc.assert(
      fc.property(cases, ([operations, frozen]) => {
        const merged = merge(standing(['b', ...frozen]), operations);
        if (!merged.ok) return;
        for (const name of frozen) {
          const before = plan.tasks.find((task) => task.id === name);
          expect(merged.tasks.some((one) => 'kept' in one && one.kept === before)).toBe(true);
        }
        const ids = merged.tasks.map((one) => ('kept' in one ? one.kept.id : one.draft.id));
        expect(new Set(ids).size).toBe(ids.length);
        expect(ids).not.toContain('b');
      }),
    );
  });
});

describe('the envelope', () => {
  const envelope = envelopeOf(plan);
  const wider = (more: Partial<DraftTask>) => {
    const [comes] = planned(draft('n', [], more)).tasks;
    if (comes === undefined) throw new Error('none');
    return widenings(envelope, { ...plan, tasks: [...plan.tasks, comes] }, [comes]);
  };

  test('is what the tasks of the first plan could do, and nothing beyond', () => {
    expect(wider({ args: ['run', 'other'] })).toEqual([]);
    expect(wider({ tool: 'node', args: ['x.js'] }).length).toBeGreaterThan(0);
    expect(
      wider({ tool: 'node', args: ['-e', '0'] })
        .map(({ message }) => message)
        .join(),
    ).toContain('code of its own');
    expect(wider({ env: [{ name: 'CI', value: '1' }] })[0]?.message).toContain('variable');
    expect(wider({ outputs: [{ name: 'o', path: 'o', required: true }] })[0]?.message).toContain(
      'output',
    );
    expect(wider({ locks: ['l'] })[0]?.message).toContain('lock');
    expect(wider({ sideEffects: true })[0]?.message).toContain('side effects');
  });
});

describe('a failure', () => {
  const line = (text: string) =>
    fingerprintOf({ spec: specHash(draft('a')), class: 'code', line: text });

  test('is the same whenever it was and wherever it lay, and another where the words are others', () => {
    expect(line('x.ts(12,3): error TS2304 after 31 ms')).toBe(
      line('x.ts(9,1): error TS2304 after 4 ms'),
    );
    expect(line('no such file')).not.toBe(line('no such name'));
    expect(specHash(draft('a'))).toBe(
      specHash(draft('b', ['a'], { args: ['run', 'a'], title: 'z' })),
    );
  });

  test('has the line that says what went wrong', () => {
    expect(errorLine('start\nsrc/a.ts: error TS1: bad\nnpm error code 2\n    at x.js:1\nbye')).toBe(
      'src/a.ts: error TS1: bad',
    );
    expect(errorLine('')).toBe('');
  });
});

test('what looks like a secret does not leave with the output', () => {
  const secrets = [
    'Authorization: Bearer abcdefghijkl.mnop',
    'https://ada:hunter2@host/x',
    'API_KEY=supersecretvalue',
    'password: "hunter22"',
    'ghp_0123456789abcdefABCDEF0123456789abcd',
    'ada@example.org',
    '-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----',
  ];
  const left = redact(secrets.join('\n'));
  for (const word of [
    'abcdefghijkl',
    'hunter2',
    'supersecret',
    'hunter22',
    'ghp_',
    'ada@',
    'MIIE',
  ]) {
    expect(left).not.toContain(word);
  }
  expect(redact('src/a.ts(1,1): error TS2304: Cannot find name')).toContain('error TS2304');
});

test.each([
  '',
  '{}',
  '{"operations":[]}',
  '{"operations":[{"op":"exec","id":"a"}]}',
  '{"operations":[{"op":"add","id":"a"}]}',
  '{"operations":[{"op":"add","id":"a","task":{"id":"a","tool":"npm","image":"x"}}]}',
  '{"operations":[{"op":"drop","id":"a","__proto__":{}}]}',
])('an answer that is no list of operations is told what is wrong: %s', (text) => {
  const read = readOperations(text);
  expect(read.ok ? [] : read.findings).not.toEqual([]);
});

describe('the rules', () => {
  const [build, test1] = planned(draft('build'), draft('test', [], { args: ['test'] })).tasks;
  if (build === undefined || test1 === undefined) throw new Error('none');
  const facts = {
    failed: test1,
    tasks: [test1],
    tail: "Error: Cannot find module '/workspace/dist/main.js'",
    scripts: new Set(['build', 'test']),
    names: new Set(['package.json']),
  };

  test('build first where a test misses what only a build makes', () => {
    expect(remedyFor(facts)?.map(({ op }) => op)).toEqual(['add', 'replace']);
    expect(remedyFor({ ...facts, tasks: [build, test1] })?.map(({ op }) => op)).toEqual([
      'replace',
    ]);
  });

  test('say nothing where they are not sure', () => {
    expect(remedyFor({ ...facts, tail: "Cannot find module 'left-pad'" })).toBeUndefined();
    expect(remedyFor({ ...facts, names: new Set(['dist']) })).toBeUndefined();
    expect(remedyFor({ ...facts, scripts: new Set(['test']) })).toBeUndefined();
    const after = { ...test1, deps: ['build'] };
    expect(remedyFor({ ...facts, failed: after, tasks: [build, after] })).toBeUndefined();
    expect(remedyFor({ ...facts, failed: build, tasks: [build] })).toBeUndefined();
  });

  test('keep a task as it was in all but what it waits for', () => {
    const [, again] = remedyFor(facts) ?? [];
    expect(again).toMatchObject({
      op: 'replace',
      id: 'test',
      task: { ...draftOf(test1), deps: ['build'] },
    });
  });
});
