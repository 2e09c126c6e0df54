import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  openCompiler,
  type Condition,
  type ConditionKind,
} from '#daemon/policy/conditions/compile.ts';
import type { PolicyInput } from '#daemon/policy/judgement.ts';
import { policyInput } from '#test/support/policy-input.ts';

function problemsOf(text: string, kind: ConditionKind = 'rule') {
  const made = openCompiler().compile(text, kind);
  return made.ok ? [] : made.problems;
}

function conditionOf(text: string): Condition {
  const made = openCompiler().compile(text, 'rule');
  if (!made.ok) throw new Error(`${text}: ${JSON.stringify(made.problems)}`);
  return made.condition;
}

function holds(text: string, over: Parameters<typeof policyInput>[0] = {}): boolean | 'error' {
  const compiler = openCompiler();
  const made = compiler.compile(text, 'rule');
  if (!made.ok) throw new Error(`${text}: ${JSON.stringify(made.problems)}`);
  return made.condition.holds(compiler.context(policyInput(over)));
}

const refused: [what: string, text: string, message: RegExp, offset?: number][] = [
  ['nothing', ' ', /./],
  ['half an expression', 'task.tool ==', /unexpected token/],
  ['a variable that is not there', 'tsk.tool == "npm"', /unknown variable tsk/, 0],
  ['a field that is not there', 'true || task.tol == "npm"', /unknown field tol/, 8],
  ['a field of an element', 'spec.mounts.exists(m, m.tgt == "x")', /no such key: tgt/],
  ['a function that is not there', 'foo(1)', /unknown function foo/, 0],
  ['a conversion', 'int("1") == 1', /unknown function int/],
  ['a type', 'type(task.id) == string', /unknown function type/],
  ['a way around types', 'dyn(1) == 1', /unknown function dyn/],
  ['a time', 'timestamp("2026-01-01T00:00:00Z") == timestamp(0)', /unknown function timestamp/],
  ['a binding, which doubles texts', 'cel.bind(x, "a", x + x == "aa")', /unknown method bind/],
  ['a join', 'task.args.join(",") == ""', /unknown method join/],
  ['a map written out', '{"a": 1}.size() == 1', /maps cannot be written out/],
  ['bytes', 'b"a" == b"a"', /texts, whole numbers/],
  ['a double', '1.5 < 2.0', /whole numbers/, 0],
  ['nothing as a value', 'task.id == null', /texts, whole numbers/],
  ['an optional', 'task.?id == "x"', /./],
  ['a number for a text', 'task.id == 1', /no such overload/],
  ['a text as the answer', 'task.id', /says true or false, and this is string/],
  ['a number as the answer', '1 + 1', /says true or false, and this is int/],
  ['a name for an input', 'task.args.all(run, run == "")', /run is another name already/],
  [
    'three lists in each other',
    'task.args.all(a, task.args.all(b, task.args.all(c, a == b)))',
    /2 deep/,
  ],
  ['a field by a text that is made', 'task["i" + "d"] == "x"', /named with a dot/],
  ['has() of what is always there', 'has(task.id)', /always there/],
  ['has() of what never is', 'has(task.nope)', /always there/],
  ['a pattern out of data', 'task.id.matches(task.tool)', /written out/],
  ['a pattern that looks around', 'task.id.matches("(?=x)")', /cannot be used/],
  ['a pattern that refers back', String.raw`task.id.matches("(a)\\1")`, /cannot be used/],
  ['a pattern that multiplies', 'task.id.matches("(a{1000}){1000}")', /cannot be used/],
  ['a large pattern', 'task.id.matches("(a|b)*a(a|b){200}")', /too large/],
];

test.each(refused)('%s is refused, where it stands', (_what, text, message, offset) => {
  const [problem] = problemsOf(text);
  expect(problem?.message).toMatch(message);
  if (offset !== undefined) expect(problem?.offset).toBe(offset);
});

test('what is not known yet when a profile is chosen is refused there, and there alone', () => {
  for (const text of [
    'spec.uid == 0',
    'history.runs_today > 3',
    'task.limits.pids > 3',
    'run.plan == ""',
  ]) {
    expect(problemsOf(text)).toEqual([]);
    expect(problemsOf(text, 'profile')[0]?.message).toMatch(/not known yet/);
  }
  expect(problemsOf('task.tool == "npm" && "admin" in actor.roles', 'profile')).toEqual([]);
});

test.each([
  ['deep brackets', `${'('.repeat(5000)}true${')'.repeat(5000)}`],
  ['many negations', `${'!'.repeat(5000)}true`],
  ['a long chain', Array.from({ length: 3000 }, () => 'true').join(' || ')],
  ['a long sum', `${Array.from({ length: 3000 }, () => '1').join(' + ')} == 1`],
  ['a long list', `1 in [${Array.from({ length: 3000 }, () => '1').join(', ')}]`],
  ['a long path', `task${'.id'.repeat(3000)} == ""`],
])('%s are refused before they take time', (_what, text) => {
  expect(problemsOf(text)).not.toEqual([]);
});

test('lists that multiply each other are refused by the steps that they could take', () => {
  const list = Array.from({ length: 12 }, () => 'actor.groups').join(' + ');
  const [problem] = problemsOf(`(${list}).all(a, (${list}).all(b, a != b))`);
  expect(problem?.message).toMatch(/could take \d+ steps/);
});

test('names of prototypes are names like any other', () => {
  for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'prototype']) {
    expect(holds(`"${name}" in task.env`)).toBe(false);
    expect(holds(`task.env["${name}"] == "x"`)).toBe('error');
    expect(
      holds(`"${name}" in task.env`, { task: { env: JSON.parse(`{"${name}":"x"}`) as never } }),
    ).toBe(true);
  }
  expect(problemsOf('task.constructor == ""')).not.toEqual([]);
  expect(problemsOf('constructor == ""')).not.toEqual([]);
});

test('a variable of the plan that is not there is an error, unless has() asked before', () => {
  expect(holds('task.env.DEPLOY == "yes"')).toBe('error');
  expect(holds('has(task.env.DEPLOY) && task.env.DEPLOY == "yes"')).toBe(false);
  const env = { DEPLOY: 'yes' };
  expect(holds('has(task.env.DEPLOY) && task.env.DEPLOY == "yes"', { task: { env } })).toBe(true);
});

test('what cannot be computed is an error: a division by zero, a number too large, an index too far', () => {
  expect(holds('1 / (spec.uid - spec.uid) == 0')).toBe('error');
  expect(holds('task.limits.memory_bytes * 9223372036854775807 > 0')).toBe('error');
  expect(holds('task.args[7] == "x"')).toBe('error');
});

test('an input that is not of its type is refused as a whole', () => {
  const compiler = openCompiler();
  const context = (input: PolicyInput) => compiler.context(input);
  expect(() => context(policyInput({ actor: { uid: 1.5 } }))).toThrow('whole number');
  expect(() =>
    context(policyInput({ actor: { groups: Array.from({ length: 2000 }, () => 'g') } })),
  ).toThrow('too long');
  expect(() => context(policyInput({ task: { args: ['x'.repeat(9000)] } }))).toThrow('too long');
  expect(() => context({ ...policyInput(), history: undefined } as never)).toThrow('missing');
});

test.each<[string, boolean]>([
  ['task.tool == "npm" && task.args[0] == "test"', true],
  ['task.args.exists(a, a.startsWith("te"))', true],
  ['task.args.filter(a, a == "test").size() == 1', true],
  ['task.args.map(a, a + "!").exists(a, a == "test!")', true],
  ['"approver" in actor.roles || actor.uid == 1000', true],
  ['task.limits.memory_bytes <= 2 * 1024 * 1024 * 1024', true],
  ['spec.mounts.all(m, m.kind == "tmpfs" || m.readonly)', false],
  ['spec.image.reference.matches("^node:[0-9]+-alpine$")', true],
  ['task.id.matches("es")', true],
  ['task.id.lowerAscii() in ["test", "build"]', true],
  ['size(task.needs) == 0 ? !task.side_effects : true', true],
  ['history.task.failed > 3 && history.runs_today > 0', false],
])('%s is %s of the ordinary task', (text, expected) => {
  expect(holds(text)).toBe(expected);
});

test('patterns that take other engines years are matched in linear time', () => {
  const args = [`${'a'.repeat(4000)}!`];
  expect(holds('task.args[0].matches("^(a+)+$")', { task: { args } })).toBe(false);
  expect(holds('task.args[0].matches("(a*)*(a*)*(a*)*b")', { task: { args } })).toBe(false);
});

test('patterns over very much text cannot be judged, rather than taking time', () => {
  const args = Array.from({ length: 64 }, () => 'ab'.repeat(2048));
  const text = 'task.args.exists(a, a.matches("^(a|b)*a(a|b){40}$"))';
  expect(holds(text, { task: { args } })).toBe('error');
  expect(holds(text)).toBe(false);
});

// Pieces that a text may be put together of, well or badly.
const piece = fc.constantFrom(
  'task',
  'task.args',
  'task.id',
  'actor.roles',
  'spec.mounts',
  'run.workspace.files',
  'has(',
  'size(',
  '.exists(x, ',
  '.all(y, ',
  '.matches("a+")',
  '.startsWith("a")',
  '"a"',
  "'",
  '"',
  '1',
  '0x7f',
  '9e9',
  'true',
  'in',
  '==',
  '<',
  '&&',
  '||',
  '!',
  '?',
  ':',
  '+',
  '-',
  '*',
  '/',
  '%',
  '(',
  ')',
  '[',
  ']',
  '{',
  '}',
  ',',
  '.',
  ' ',
  '\n',
  'x',
  'y',
  'null',
  'b"',
  'r"',
  '\\',
  '//',
  '\u0000',
  'é',
  '_proto_',
  '__proto__',
);

test('whatever stands there, compiling answers, and what it lets through never throws', () => {
  const context = openCompiler().context(policyInput());
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 24 }), (pieces) => {
      const compiler = openCompiler();
      const made = compiler.compile(pieces.join(''), 'rule');
      if (made.ok)
        expect([true, false, 'error']).toContain(
          made.condition.holds(compiler.context(policyInput())),
        );
      else expect(made.problems.every(({ offset }) => offset >= 0)).toBe(true);
    }),
    { numRuns: 2000 },
  );
  expect(conditionOf('true').holds(context)).toBe(true);
});
