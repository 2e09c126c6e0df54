import { describe, expect, test } from 'vitest';
import { parsePolicy } from '#daemon/policy/document.ts';
import { effectivePolicy } from '#daemon/policy/effective.ts';
import { openJudge } from '#daemon/policy/judge.ts';
import { defaultInput } from '#daemon/policy/space/default-input.ts';
import { readFileSync } from 'node:fs';

const shipped = readFileSync(new URL('../../../policies/default.yaml', import.meta.url), 'utf8');
const policyOf = (more: string) => effectivePolicy(parsePolicy(`${shipped}\n${more}`, 'p.yaml'));
const inputFor = (isAllowed: boolean) => ({
  ...defaultInput,
  history: { ...defaultInput.history, tool_allowed: isAllowed },
});
const judged = (more: string, isAllowed: boolean) =>
  openJudge().judge(policyOf(more), inputFor(isAllowed));

describe('a program that is on no list', () => {
  test('is as free as it was where the document does not ask', () => {
    expect(judged('', false).effect).toBe('allow');
    expect(judged('tools_growth: off', false).effect).toBe('allow');
  });

  test('is asked for, by name of the rule and with the terms of a rule that says none', () => {
    const { effect, deciding, ask } = judged('tools_growth: ask', false);
    expect(effect).toBe('ask');
    expect(deciding).toMatchObject([{ id: 'tool-not-allowed', value: true, document: 'default' }]);
    expect(ask).toEqual({
      approvals: 1,
      from: [['approver']],
      self: true,
      expiresMs: 24 * 3600 * 1000,
    });
  });

  test('is not asked for where a rule denies the task', () => {
    const rules = 'rules: [{ id: no, when: "true", effect: deny, reason: never }]';
    expect(judged(`tools_growth: ask\n${rules}`, false)).toMatchObject({
      effect: 'deny',
      deciding: [{ id: 'no' }, { id: 'default' }],
    });
  });

  test('is not asked for where no rule speaks for the task: an approval is no rule', () => {
    expect(judged('tools_growth: ask\nrules: []', false)).toMatchObject({
      effect: 'deny',
      deciding: [{ id: 'default' }],
    });
  });

  test('is not asked for where the list of tools does not have it: that is the upper bound', () => {
    const input = { ...inputFor(false), task: { ...defaultInput.task, tool: 'unheard' } };
    const { effect } = openJudge().judge(policyOf('tools_growth: ask'), input);
    expect(effect).toBe('deny');
  });

  test('is asked for on the strictest terms where a rule asks too', () => {
    const rules =
      'rules: [{ id: two, when: "true", effect: ask, reason: sure, ask: { approvals: 2, from: [admin], self: false } }]';
    expect(judged(`tools_growth: ask\n${rules}`, false).ask).toMatchObject({
      approvals: 2,
      from: [['admin'], ['approver']],
      self: false,
    });
  });
});

test('a program that is on the list of its user is not asked for, and the judgement says so', () => {
  const { effect, rules } = judged('tools_growth: ask', true);
  expect(effect).toBe('allow');
  expect(rules).toContainEqual(expect.objectContaining({ id: 'tool-not-allowed', value: false }));
});
