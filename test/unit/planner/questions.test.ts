import { expect, test } from 'vitest';
import { validateDraft, type ValidateContext } from '#daemon/planner/validate.ts';
import { shippedPolicy, testImage, testImageTools } from '#test/support/policies.ts';

const context: ValidateContext = {
  planner: 'file',
  policy: shippedPolicy('ci'),
  image: testImage,
  imageTools: testImageTools,
};
const task = (id: string, questions: readonly object[]) => ({
  id,
  title: id,
  why: '',
  tool: 'node',
  args: ['a.js'],
  env: [],
  cwd: '.',
  deps: [],
  outputs: [],
  limits: {},
  onFailure: 'stop',
  questions,
});
const check = (...tasks: object[]) =>
  validateDraft({ version: 1, assumptions: [], tasks }, context);
const messages = (...tasks: object[]) => {
  const result = check(...tasks);
  return result.ok ? [] : result.findings.map(({ message }) => message);
};
const question = { name: 'TARGET', prompt: 'Where to?' };

test.each<[string, object]>([
  ['a prompt that moves a cursor', { prompt: 'x\u001b[2J' }],
  ['a prompt of two lines', { prompt: 'Where to?\nPassword for root:' }],
  ['a prompt that turns the direction of text', { prompt: 'x\u202egnp' }],
  ['no prompt at all', { prompt: ' ' }],
  ['a name that is no name of a variable', { name: 'target' }],
  ['a name that means something else', { name: 'A=B' }],
  ['a kind that is none', { kind: 'file' }],
  ['a choice without choices', { kind: 'choice' }],
  ['choices of a text', { choices: ['a'] }],
  ['a choice twice', { kind: 'choice', choices: ['a', 'a'] }],
  ['a choice with a control character', { kind: 'choice', choices: ['a\u0007'] }],
  ['a default that is none of the choices', { kind: 'choice', choices: ['a'], default: 'b' }],
  ['a default of a secret', { kind: 'secret', default: 'hunter2' }],
  ['a default of yes or no that is neither', { kind: 'confirm', default: 'maybe' }],
  ['a word that there is not', { answer: 'x' }],
])('%s is refused', (_name, change) => {
  expect(messages(task('a', [{ ...question, ...change }]))).not.toEqual([]);
});

test('a question that two tasks ask is refused: its name is how it is answered', () => {
  expect(messages(task('a', [question]), task('b', [question])).join()).toContain('asked by a');
});

test('more than eight questions of a task are refused, and more than 64 of a plan', () => {
  const many = (count: number, from: number) =>
    Array.from({ length: count }, (_, i) => ({ ...question, name: `Q${from + i}` }));
  expect(messages(task('a', many(9, 0)))).not.toEqual([]);
  const tasks = Array.from({ length: 9 }, (_, i) => task(`t${i}`, many(8, i * 8)));
  expect(messages(...tasks).join()).toContain('more than 64');
});

test('sound questions are kept as they are, and a plan without any keeps its digest', () => {
  const result = check(
    task('a', [{ ...question, kind: 'confirm', default: 'yes' }]),
    task('b', []),
  );
  if (!result.ok) throw new Error(JSON.stringify(result.findings));
  expect(result.plan.tasks[0]?.questions).toEqual([
    { ...question, kind: 'confirm', default: 'yes' },
  ]);
  expect(result.plan.tasks[1]).not.toHaveProperty('questions');
});
