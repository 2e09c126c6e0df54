import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { OrchestraError, type ErrorPlace } from '#contract/errors.ts';
import { parsePolicy, readPolicy } from '#daemon/policy/document.ts';
import { narrow } from '#daemon/policy/narrow.ts';
import { shippedPolicy } from '#test/support/policies.ts';

const standard = readFileSync(new URL('../../../policies/default.yaml', import.meta.url), 'utf8');

test('an empty document is refused, and so is one that leaves a list out', () => {
  expect(() => parsePolicy('', 'p.yaml')).toThrow(OrchestraError);
  expect(() => parsePolicy('version: 1\nname: p\n', 'p.yaml')).toThrow('p.yaml has');
});

test('a limit of zero, which engines read as none, is refused', () => {
  try {
    parsePolicy('limits:\n  memory: 0B\n  tmp: 0B\n', 'p.yaml');
    expect.unreachable();
  } catch (error) {
    const places = (error as OrchestraError).places.map((p) => `${p.line} ${p.message}`);
    expect(places).toContain('2 must be at least 6 MiB');
    expect(places).toContain('3 must be at least 1 B');
  }
});

test('strict allows no program by name, no shell and no registry', () => {
  const strict = shippedPolicy('strict');
  expect(strict.tools).toEqual(['npm', 'node']);
  expect(strict.provision.registries).toEqual([]);
  expect(strict.isolation.seccomp).toBe('required');
});

test('the other documents that ship lie beneath the default one in everything', () => {
  const ceiling = shippedPolicy('default');
  for (const name of ['strict', 'ci'] as const) {
    const { policy, narrowed } = narrow(ceiling, shippedPolicy(name));
    expect(narrowed).toEqual([]);
    const { documents, digest: _digest, ...lists } = policy;
    const { documents: own, digest: _own, ...alone } = shippedPolicy(name);
    expect(lists).toEqual(alone);
    expect(documents).toEqual([...ceiling.documents, ...own]);
  }
});

test('a condition that is wrong is found where it stands, however it is written', () => {
  const text = `${standard}
rules:
  - id: plain
    when: task.tool == "npm" && wrong1
    effect: deny
    reason: x
  - { id: single, when: 'task.tool == ''npm'' && wrong2', effect: deny, reason: x }
  - { id: double, when: "task.tool == \\"npm\\" && wrong3", effect: deny, reason: x }
  - id: block
    when: | # as it stands
      task.tool == "npm" &&
        wrong4
    effect: deny
    reason: x
  - id: folded
    when: >-
      task.tool == "npm"

      && wrong5
    effect: deny
    reason: x
`;
  const lines = text.split('\n');
  let places: readonly ErrorPlace[] = [];
  try {
    readPolicy(text, 'site.yaml');
  } catch (error) {
    ({ places } = error as OrchestraError);
  }
  expect(places).toHaveLength(5);
  for (const { line = 0, column = 0, message } of places) {
    expect(message).toMatch(/^unknown variable wrong/);
    expect(lines[line - 1]?.slice(column - 1)).toMatch(/^wrong/);
  }
});

test('a rule is there once, and an id of Orchestra’s own is nobody else’s', () => {
  const rule = (id: string) => `  - { id: ${id}, when: 'true', effect: allow, reason: x }\n`;
  const read =
    (...ids: string[]) =>
    () =>
      readPolicy(`${standard}\nrules:\n${ids.map(rule).join('')}`, 'site.yaml');
  expect(read('a', 'b')).not.toThrow();
  expect(read('a', 'a')).toThrow('1 problem');
  expect(read('lists')).toThrow('1 problem');
  expect(read('default')).toThrow('1 problem');
});

test('what anybody hands in with a run may take fewer steps than what the operator wrote', () => {
  const when = 'actor.groups.all(a, task.needs.all(b, a != b))';
  const text = `${standard}\nrules:\n  - { id: a, when: '${when}', effect: allow, reason: x }\n`;
  expect(() => readPolicy(text, 'site.yaml')).toThrow('1 problem');
  const smaller = text.replace('actor.groups', 'task.args');
  expect(() => readPolicy(smaller, 'site.yaml')).not.toThrow();
  expect(() => readPolicy(smaller, 'site.yaml', { stepsMax: 1000 })).toThrow('1 problem');
});
