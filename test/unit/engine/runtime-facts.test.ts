import { expect, test } from 'vitest';
import { createOptions } from '#daemon/engine/drivers/translate.ts';
import { askedFor } from '#daemon/engine/asked.ts';
import { pidsLimitFor, runtimeFacts } from '#daemon/engine/runtime-facts.ts';
import { fakeHost } from '#test/support/fake-engine.ts';
import { testLimits, testSpec } from '#test/support/sandbox-spec.ts';

test('nothing is claimed about a runtime that nobody knows', () => {
  expect(runtimeFacts('youki')).toMatchObject({
    family: 'unknown',
    seccomp: 'ignored',
    propagation: false,
  });
  expect(runtimeFacts('runcx').family).toBe('unknown');
});

test('a filter that gVisor ignores is said to be ignored, and why there is a wall all the same', () => {
  const facts = runtimeFacts('runsc', ['--platform=ptrace', '--network=none']);
  expect(facts).toMatchObject({ kernel: 'its own', seccomp: 'ignored', propagation: false });
  expect(facts.remarks.join('\n')).toContain('seccomp: ignored by runsc');
});

test('a filter that gVisor was told to load counts as one inside', () => {
  const facts = runtimeFacts('runsc', ['--oci-seccomp']);
  expect(facts.seccomp).toBe('inside');
  expect(facts.remarks.join('\n')).not.toContain('ignored');
});

test('an operator’s own name for a runtime is known by its family', () => {
  expect(runtimeFacts('runsc-debug').family).toBe('gvisor');
  expect(runtimeFacts('kata-qemu').family).toBe('kata');
  expect(runtimeFacts('io.containerd.runc.v2').family).toBe('runc');
});

test('gVisor’s own threads do not take a task’s processes away, elsewhere the limit is the limit', () => {
  expect(pidsLimitFor('runc', 64)).toBe(64);
  expect(pidsLimitFor('crun', 64)).toBe(64);
  expect(pidsLimitFor('runsc', 64)).toBe(256 + 128);
});

test('what is asked for and what is compared with it name the same limit of processes', () => {
  const spec = testSpec({ runtime: 'runsc' });
  const asked = askedFor(spec, fakeHost).settings.pids;
  expect(asked).toBe(pidsLimitFor('runsc', testLimits.pids));
  expect(createOptions(spec, fakeHost, []).HostConfig?.PidsLimit).toBe(asked);
});
