import { expect, test } from 'vitest';
import { OrchestraError } from '#contract/errors.ts';
import { parsePolicy } from '#daemon/policy/document.ts';
import { narrow } from '#daemon/policy/narrow.ts';
import { shippedPolicy } from '#test/support/policies.ts';

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
