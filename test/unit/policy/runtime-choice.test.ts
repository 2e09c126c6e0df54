import { expect, test } from 'vitest';
import { chooseRuntime } from '#daemon/policy/runtime-choice.ts';

const engine = { runtimes: ['crun', 'runc', 'runsc'], defaultRuntime: 'runc' };
const policy = (...runtimes: string[]) => ({
  isolation: {
    seccomp: 'required' as const,
    apparmor: 'off' as const,
    selinux: 'off' as const,
    userns: 'off' as const,
    runtimes,
  },
});

test('a policy whose runtimes the engine lacks gets the default one, which its rule then denies', () => {
  expect(chooseRuntime(policy('kata'), engine)).toBe('runc');
});

test('the first runtime of the policy that the engine has is taken, whatever the engine prefers', () => {
  expect(chooseRuntime(policy('kata', 'runsc', 'runc'), engine)).toBe('runsc');
  expect(chooseRuntime(policy('runc', 'runsc'), engine)).toBe('runc');
});

test('what the operator named comes before the list', () => {
  expect(chooseRuntime(policy('runsc'), engine, 'crun')).toBe('crun');
});
