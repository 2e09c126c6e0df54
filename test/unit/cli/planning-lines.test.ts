import { expect, test } from 'vitest';
import type { LogRecord } from '#contract/records.ts';
import { triedLine } from '#contract/planning.ts';
import { runLine } from '#cli/run/run-phrases.ts';

const lineOf = (type: string, data: Record<string, unknown>) =>
  runLine({ type, data, actor: { kind: 'daemon', auth: 'self' } } as unknown as LogRecord);
const used = { ms: 1_500, rounds: 2, input_tokens: 10, output_tokens: 5 };

test('whoever waits for a plan is told who is asked, where, and what came of it', () => {
  const question = { planner: 'claude', model: 'opus', host: 'api.example', round: 1 };
  expect(lineOf('planner.asked', question)).toBe('plan: asking claude (opus at api.example)');
  expect(lineOf('planner.asked', { ...question, round: 2 })).toBe('plan: asking claude once more');
  expect(lineOf('planner.answered', { planner: 'claude', code: 'timeout', ...used })).toBe(
    'plan: claude: it took too long (1.5s, 2 questions, 10 + 5 tokens)',
  );
});

test('what earlier runs warn of is said once, before anything runs', () => {
  expect(lineOf('plan.made', { planner: 'rules' })).toBeUndefined();
  expect(lineOf('plan.made', { warned: ['test: it hangs\u001b[2J'] })).toMatch(
    /^beware: test: it hangs[\x20-\x7e]*$/,
  );
  expect(lineOf('plan.made', { warned: ['a', 'b', 'c'] })).toBe(
    'beware: a; 2 more: orchestra show',
  );
});

test('names that move a cursor do not, and codes of a later version are shown as they are', () => {
  const question = { planner: 'a\u001b[2J', model: 'b\u202e', host: 'c\n', round: 1 };
  expect(lineOf('planner.asked', question)).toMatch(/^[\x20-\x7e]*$/);
  expect(lineOf('planner.answered', { planner: 'x', code: 'constructor', ...used })).toContain(
    'x: constructor',
  );
});

test('who was not asked took nothing, and a cost is there only where there is one', () => {
  const none = { ms: 0, rounds: 0, inputTokens: 0, outputTokens: 0 };
  expect(triedLine({ planner: 'rules', code: 'ok', ...none })).toBe('rules: made the plan');
  expect(
    triedLine({
      planner: 'x',
      code: 'ok',
      ms: 10,
      rounds: 1,
      inputTokens: 1,
      outputTokens: 2,
      costMicro: 1_234_567,
    }),
  ).toBe('x: made the plan (10ms, 1 question, 1 + 2 tokens, cost 1.2346)');
});
