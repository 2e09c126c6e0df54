import { expect, test } from 'vitest';
import { madeAs } from '#daemon/engine/adopt.ts';
import { askedFor } from '#daemon/engine/asked.ts';
import { compare } from '#daemon/engine/compare.ts';
import { labelNames } from '#daemon/engine/labels.ts';
import {
  gateTarget,
  npmCacheTarget,
  workspaceTarget,
  type Mount,
  type SandboxSpec,
} from '#daemon/policy/spec.ts';
import { fakeHost } from '#test/support/fake-engine.ts';
import { openFakeSandboxes } from '#test/support/fake-sandbox.ts';
import { testSpec } from '#test/support/sandbox-spec.ts';

const context = { run: 'r-0000000000', task: 'build', attempt: 1 };
const [tmp] = testSpec().mounts as [Mount];
const overlay: Mount = {
  kind: 'overlay',
  lower: ['/l/a'],
  upper: '/l/u',
  work: '/l/w',
  target: workspaceTarget,
};
const task = testSpec({ command: ['make'], secrets: [], mounts: [overlay, tmp] });
const doors: Mount[] = [workspaceTarget, npmCacheTarget, gateTarget].map((target, at) => ({
  kind: 'door',
  source: `/slots/7/${at}`,
  target,
}));
const slot: SandboxSpec = {
  ...task,
  role: 'slot',
  name: 'orchestra-slot-7',
  command: [],
  env: {},
  cwd: '/',
  labels: { [labelNames.install]: 'test', [labelNames.slot]: '7' },
  mounts: [...doors, tmp],
};

/** What inspection says of a container that was made as this. */
function made(spec: SandboxSpec) {
  return {
    ...askedFor(spec, fakeHost),
    maskedPaths: ['/proc/kcore', '/proc/keys', '/proc/timer_list', '/sys/firmware'],
    readonlyPaths: ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'],
  };
}
const differences = (spec: SandboxSpec) => {
  const found = made(spec);
  return compare(askedFor(madeAs(task, found), fakeHost), found);
};

test('a container of the task, and a slot of its shape, are what the task asks for', () => {
  expect(differences(task)).toEqual([]);
  expect(differences(slot)).toEqual([]);
  expect(madeAs(task, made(slot))).toEqual(slot);
});

test.each<[string, SandboxSpec, RegExp]>([
  ['more memory', { ...slot, limits: { ...slot.limits, memoryBytes: 2 ** 40 } }, /^memory/],
  ['another user', { ...slot, user: { uid: 0, gid: 0 } }, /^user/],
  [
    'another image',
    { ...slot, image: { ...slot.image, id: `sha256:${'b'.repeat(64)}` } },
    /^image/,
  ],
  ['another runtime', { ...slot, runtime: 'runsc' }, /^runtime/],
  ['a mount more', { ...slot, mounts: [...slot.mounts, overlay] }, /^mounts/],
  ['a door to elsewhere', withDoor('/etc'), /^mounts/],
  [
    'a smaller memory file system',
    { ...slot, mounts: [...doors, { ...tmp, sizeBytes: 1 } as Mount] },
    /^mounts/,
  ],
  [
    'another installation',
    { ...slot, labels: { ...slot.labels, [labelNames.install]: 'x' } },
    /^label/,
  ],
  ['the name of another task', { ...task, name: 'other' }, /^name/],
])('a slot with %s is not', (_what, spec, wanted) => {
  expect(differences(spec).filter((line) => wanted.test(line))).not.toEqual([]);
});

function withDoor(target: string): SandboxSpec {
  return { ...slot, mounts: [...slot.mounts, { kind: 'door', source: '/slots/7/3', target }] };
}

async function released() {
  const before = openFakeSandboxes({ hang: true });
  const permit = before.permit();
  const { id } = await before.engine.create(permit, context);
  await before.engine.attach(id);
  await before.engine.start(id, context);
  await before.engine.release(id, permit, context);
  return { id, ...openFakeSandboxes({}, { fake: before.fake }) };
}

test('without a genuine permit nothing is adopted, nor asked', async () => {
  const { engine, fake, id, permit } = await released();
  const calls = [...fake.calls];
  await expect(engine.adopt(id, { ...permit() }, context)).rejects.toMatchObject({
    code: 'internal.bug',
  });
  expect(fake.calls).toEqual(calls);
});

test('one that is another than its permit says is on record, removed, and not followed', async () => {
  const { engine, fake, log, id, permit } = await released();
  fake.tamper = (got) => ({ ...got, settings: { ...got.settings, readonly_root: false } });
  await expect(engine.adopt(id, permit(), context)).rejects.toMatchObject({
    code: 'sandbox.mismatch',
  });
  expect(fake.left).toEqual([]);
  expect(log.story).toEqual([
    'container.settings.mismatch denied',
    'container.remove intent',
    'container.remove result',
  ]);
});

test('what cannot be recorded is not adopted, and may be later', async () => {
  const { engine, log, id, permit } = await released();
  log.block();
  await expect(engine.adopt(id, permit(), context)).rejects.toMatchObject({
    code: 'audit.unavailable',
  });
  log.blocked = undefined;
  expect(await engine.adopt(id, permit(), context)).toMatchObject({ found: 'running' });
});

test('an engine that is silent leaves what runs alone', async () => {
  const { engine, fake, id, permit } = await released();
  fake.failNext('adopt', 'lose');
  await expect(engine.adopt(id, permit(), context)).rejects.toMatchObject({
    code: 'engine.unavailable',
  });
  expect(fake.left).toHaveLength(1);
  expect(await engine.adopt(id, permit(), context)).toMatchObject({ found: 'running' });
});

test('what was adopted takes no second task', async () => {
  const { engine, id, permit } = await released();
  const of = permit();
  await engine.adopt(id, of, context);
  await expect(engine.release(id, of, context)).rejects.toMatchObject({ code: 'engine.failed' });
  await expect(engine.start(id, context)).rejects.toMatchObject({ code: 'engine.failed' });
});

test.each([
  [255, 'engine.unavailable'],
  [254, undefined],
])(
  'of one that is found over, exit code %s is what an engine says that did not look: %s',
  async (exitCode, code) => {
    const { engine, fake, permit } = openFakeSandboxes({ exitCode });
    const first = permit();
    const { id } = await engine.create(first, context);
    await engine.start(id, context);
    await engine.release(id, first, context);
    await engine.wait(id);
    const next = openFakeSandboxes({}, { fake });
    await next.engine.adopt(id, next.office.mint(first.spec), context);
    const wait = next.engine.wait(id);
    if (code === undefined) expect((await wait).exitCode).toBe(exitCode);
    else await expect(wait).rejects.toMatchObject({ code });
  },
);
