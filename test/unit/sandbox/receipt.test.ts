import { expect, test } from 'vitest';
import { recordTypes } from '#contract/records.ts';
import { digestOf } from '#daemon/base/canonical.ts';
import { askedFor } from '#daemon/engine/asked.ts';
import { openPermitOffice } from '#daemon/policy/permit.ts';
import { receiptOf, type ReceiptFacts } from '#daemon/sandbox/receipt.ts';
import type { SandboxSpec } from '#daemon/policy/spec.ts';
import { fakeHost } from '#test/support/fake-engine.ts';
import { someDigest } from '#test/support/records.ts';
import { testSpec } from '#test/support/sandbox-spec.ts';

const facts: ReceiptFacts = {
  policy: { name: 'default', digest: someDigest('d') },
  image: { origin: 'assembled' },
  engine: { kind: 'docker', version: '20.10', kernel: '6.1', userns: false, rootless: false },
  lsm: ['capability', 'apparmor'],
  layers: {},
};

function receipt(change: Partial<SandboxSpec> = {}, more: Partial<ReceiptFacts> = {}) {
  const spec = testSpec(change);
  const permit = openPermitOffice().mint(spec);
  const entry = receiptOf({ ...facts, ...more }, permit, askedFor(spec, fakeHost), 2);
  return { spec, data: recordTypes['sandbox.receipt'].data.parse(entry.data) };
}

test('a filter that the runtime ignores is said to be ignored, and whose kernel it is', () => {
  expect(receipt({ runtime: 'runsc' }).data).toMatchObject({
    seccomp_by: 'ignored',
    kernel_of: 'runtime',
  });
  expect(receipt().data).toMatchObject({ seccomp_by: 'kernel', kernel_of: 'host' });
});

test('what the engine knows better about its runtime comes before what is usual', () => {
  const runtimeFacts = {
    runsc: { family: 'gvisor', kernel: 'its own', seccomp: 'inside' },
  } as unknown as NonNullable<ReceiptFacts['engine']['runtimeFacts']>;
  const engine = { ...facts.engine, runtimeFacts };
  expect(receipt({ runtime: 'runsc' }, { engine }).data.seccomp_by).toBe('inside');
});

test('requested is the digest of the spec, effective that of everything inspection said', () => {
  const { spec, data } = receipt();
  expect(data.requested).toBe(digestOf(spec));
  expect(data.effective).toBe(digestOf(askedFor(spec, fakeHost).settings));
  expect(receipt({ user: { uid: 1, gid: 1 } }).data.effective).not.toBe(data.effective);
});

test('mounts are told by what they show; a long chain by the digest of its list', () => {
  const layers = Array.from({ length: 65 }, (_, i) => someDigest((i % 10).toString()));
  const mount = { kind: 'overlay', lower: ['/state/l/a'], upper: '/state/l/b', work: '/state/l/c' };
  const mounts = [{ ...mount, target: '/workspace' }] as SandboxSpec['mounts'];
  const shown = (of: readonly (typeof layers)[number][]) =>
    receipt({ mounts }, { layers: { '/workspace': of } }).data.mounts[0];
  expect(shown(layers.slice(1))).toMatchObject({ layers: layers.slice(1), layer_count: 64 });
  expect(shown(layers)).toMatchObject({ layers: [digestOf(layers)], layer_count: 65 });
  expect(JSON.stringify(shown(layers))).not.toContain('/state');
});

test('the version of the runtime is named where somebody could be asked', () => {
  const components = [
    { name: 'containerd', version: '1.6.20' },
    { name: 'runc', version: '1.1.5', package: '1.1.5+ds1-1+deb12u1' },
  ];
  const { data } = receipt({}, { engine: { ...facts.engine, components } });
  expect(data.runtime_version).toBe('runc 1.1.5 (1.1.5+ds1-1+deb12u1)');
  expect(receipt().data).not.toHaveProperty('runtime_version');
});

test('secrets are told by their names', () => {
  expect(receipt({ secrets: ['NPM_TOKEN'] }).data.secrets).toEqual(['NPM_TOKEN']);
});
