import { expect, test } from 'vitest';
import { PolicyDocument } from '#contract/policy.ts';
import { allowsArgv } from '#daemon/policy/argv.ts';

const allows = (patterns: string[], args: string[]) =>
  allowsArgv([{ tool: 'npm', patterns }], { tool: 'npm', args });

test.each<[string[], string[]]>([
  [['ci'], []],
  [['ci'], ['ci', '--force']],
  [['run *'], ['run']],
  [['run *'], ['run', 'a', 'b']],
  [['run *'], ['run a']],
  [['test **'], ['run', 'test']],
  [['*'], []],
  [['', 'ci'], ['x']],
  [['ru*'], ['run']],
])('%j does not allow %j', (patterns, args) => {
  expect(allows(patterns, args)).toBe(false);
});

test.each<[string[], string[]]>([
  [['ci'], ['ci']],
  [['run *'], ['run', 'a b']],
  [['test **'], ['test']],
  [['test **'], ['test', '--', 'x']],
  [['**'], []],
  [
    ['ci', 'run *'],
    ['run', 'x'],
  ],
  [[''], []],
])('%j allows %j', (patterns, args) => {
  expect(allows(patterns, args)).toBe(true);
});

test('every rule about a tool has to be kept, and one about another says nothing', () => {
  const rules = [
    { tool: 'npm', patterns: ['run *'] },
    { tool: 'npm', patterns: ['* build'] },
    { tool: 'node', patterns: ['x'] },
  ];
  expect(allowsArgv(rules, { tool: 'npm', args: ['run', 'build'] })).toBe(true);
  expect(allowsArgv(rules, { tool: 'npm', args: ['run', 'test'] })).toBe(false);
  expect(allowsArgv(rules, { tool: 'sh', args: ['-c', 'x'] })).toBe(true);
});

test('a document says ** last, and each tool once', () => {
  const { tools } = PolicyDocument.shape;
  expect(tools.safeParse([{ name: 'npm', argv: ['** x'] }]).success).toBe(false);
  expect(tools.safeParse(['npm', { name: 'npm', argv: ['ci'] }]).success).toBe(false);
  expect(tools.safeParse(['node', { name: 'npm', argv: ['ci'] }]).success).toBe(true);
});
