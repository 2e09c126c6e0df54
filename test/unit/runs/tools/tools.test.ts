import { readdirSync, rmSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { AnyRecord } from '#contract/records.ts';
import { examine } from '#daemon/doctor.ts';
import type { ToolsDeps } from '#daemon/runs/tools/tools.ts';
import { Tools } from '#daemon/runs/tools/tools.ts';
import type { Script } from '#test/support/fake-engine.ts';
import { imageId, inWords, ofType, Orchestra, user } from '#test/support/orchestra.ts';

const hex = (digit: string) => digit.repeat(64);
const printed = (...lines: string[]): Script => ({
  output: [[1, `${lines.join('\n')}\n`]],
});
const node = ['p /usr/local/bin/node /usr/local/bin/node', `h ${hex('a')}  /usr/local/bin/node`];
const sound = printed(...node, 'm', 'v node v20.1.0');

async function open(script: Script, more: { stateDir?: string } = {}) {
  const it = await Orchestra.open({ programs: new Map([['tools', script]]), ...more });
  const { tools, policies, images, log } = it.rooms.deps;
  const { policy } = policies.byDefault();
  const image = await images.resolve(log, policy);
  return { it, tools, policy, image, advertised: async () => tools.advertised(image) };
}

const advertisedOf = (records: readonly AnyRecord[]) => ofType(records, 'tools.advertised');

describe('an image that cannot be measured', () => {
  test.each<[string, Script, string]>([
    ['says nothing', printed(''), 'it found nothing'],
    ['fails', { exitCode: 127 }, 'it ended with 127'],
    ['has no program', printed('m'), 'it found nothing'],
    ['is cut off before the end', printed(...node), 'it found nothing'],
  ])('because it %s is on record as such, and its list is refused', async (_what, script, why) => {
    const { it, advertised } = await open(script);
    await using _ = it;
    await expect(advertised()).rejects.toThrow(why);
    const [record] = advertisedOf(await it.records());
    expect(record).toMatchObject({ outcome: 'failed', data: { image: imageId, tools: 0 } });
    expect(record?.data.reason).toContain(why);
  });

  test('is not measured again for each who asks', async () => {
    const { it, advertised } = await open({ exitCode: 1 });
    await using _ = it;
    await expect(advertised()).rejects.toThrow();
    await expect(advertised()).rejects.toThrow();
    expect(advertisedOf(await it.records())).toHaveLength(1);
  });

  test('because it floods is ended at its limit of output, and no list comes of it', async () => {
    const line = 'p /usr/bin/a /bin/a\n'.repeat(20_000);
    // It never stops by itself: what ends it is the limit.
    const output: Script['output'] = Array.from({ length: 8 }, () => [1, line]);
    const { it, advertised } = await open({ output, hang: true });
    await using _ = it;
    await expect(advertised()).rejects.toThrow('its limit of output');
  });

  test('lets nobody in unasked: no program of it stands on any list', async () => {
    const { it, tools, advertised } = await open({ exitCode: 1 });
    await using _ = it;
    await expect(advertised()).rejects.toThrow();
    expect(tools.standing({ uid: 1000, image: imageId, command: ['node'] })).toMatchObject({
      is: 'unlisted',
    });
  });
});

test('doctor says that an image is not measured, that it could not be, and what it lies about', async () => {
  const { it, advertised } = await open({ exitCode: 1 });
  await using _ = it;
  const check = async () =>
    (await examine(it.rooms.deps, [])).find(({ name }) => name === 'tools')?.message;
  expect(await check()).toContain('not measured yet');
  await expect(advertised()).rejects.toThrow();
  expect(await check()).toContain('it ended with 1');
  const claim = JSON.stringify({ version: 1, tools: [{ name: 'node', sha256: hex('b') }] });
  it.programs.set('tools', printed(...node, 'm', `c ${claim}`));
  const { policies, images, log, tools } = it.rooms.deps;
  const { policy } = policies.byDefault();
  const again = new Tools({
    ...it.rooms.deps,
    allowed: tools.allowed,
    advertisements: tools.advertisements,
    ceiling: () => policy,
  });
  await again.advertised(await images.resolve(log, policy));
  expect(await check()).toContain('the image says of node what is not so');
});

test('one that hangs when it is asked for a version is measured all the same', async () => {
  const { it, policy } = await open(sound);
  await using _ = it;
  const { deps } = it.rooms;
  it.programs.set('tools', { output: [[1, `${[...node, 'm'].join('\n')}\n`]], hang: true });
  const short = { ...policy, limits: { ...policy.limits, timeoutMs: 300 } };
  const { allowed, advertisements } = deps.tools;
  const tools = new Tools({
    ...deps,
    allowed,
    advertisements,
    ceiling: () => short,
  } satisfies ToolsDeps);
  const image = await deps.images.resolve(deps.log, policy);
  expect(await tools.advertised(image)).toMatchObject([{ name: 'node' }]);
  await tools.close();
});

test('an image is measured under the ceiling, whatever whoever asks first may have', async () => {
  const { it, tools, image, policy } = await open(sound);
  await using _ = it;
  const tiny = { ...policy, limits: { ...policy.limits, timeoutMs: 1000, outputBytes: 1024 } };
  const asking = tiny.documents.map((one) => ({ ...one, toolsGrowth: 'ask' as const }));
  await tools.prepare(image, { ...tiny, documents: asking });
  const [receipt] = ofType(await it.records(), 'sandbox.receipt');
  expect(receipt?.data.limits).toMatchObject({ timeout_ms: 60_000 });
});

test.each([
  ['a rule that looks at it', { when: '!history.tool_allowed' }, 1],
  ['no rule that does', { when: 'true' }, 0],
])('with %s programs are known or not when tasks are judged', async (_what, rule, measured) => {
  const { it, tools, image, policy } = await open(sound);
  await using _ = it;
  const rules = [{ ...rule, id: 'r', effect: 'ask' as const, reason: '', line: 1 }];
  const documents = policy.documents.map((one) => ({ ...one, rules }));
  await tools.prepare(image, { ...policy, documents });
  expect(advertisedOf(await it.records())).toHaveLength(measured);
});

test('an image is measured once, in a sandbox without a workspace that is judged and on record', async () => {
  const { it, advertised } = await open(sound);
  await using _ = it;
  const [first, second] = await Promise.all([advertised(), advertised()]);
  expect(first).toEqual([
    { name: 'node', path: '/usr/local/bin/node', binary: `sha256:${hex('a')}`, version: '20.1.0' },
  ]);
  expect(second).toBe(first);
  await it.rooms.deps.sandbox.slots.settled();
  const records = await it.records();
  const words = records.map(inWords);
  const at = words.findIndex((each) => each.startsWith('policy.decided'));
  expect(words.slice(at)).toEqual([
    'policy.decided tools',
    'container.create intent tools',
    'container.create result tools',
    'container.start intent tools',
    'container.start result tools',
    'sandbox.receipt tools',
    'container.release intent tools',
    'container.release result tools',
    'container.exited tools',
    ...words.slice(at + 9),
  ]);
  expect(words.filter((each) => each.startsWith('tools.advertised'))).toEqual(['tools.advertised']);
  const [receipt] = ofType(records, 'sandbox.receipt');
  expect(receipt?.run).toBeUndefined();
  expect(receipt?.data.mounts.map(({ kind, target }) => `${kind} ${target}`)).toEqual([
    'tmpfs /tmp',
    'tmpfs /home/node',
  ]);
});

test('a list outlives the daemon, and one that was pruned is measured again', async () => {
  const first = await open(sound);
  await first.advertised();
  const { stateDir } = first.it;
  const list = first.tools.advertisements.get(imageId)?.list ?? '';
  await first.it.stop();
  const second = await open({ exitCode: 1 }, { stateDir });
  expect(await second.advertised()).toMatchObject([{ name: 'node' }]);
  await second.it.stop();
  const blob = list.slice('sha256:'.length);
  const blobs = readdirSync(`${stateDir}/blobs`, { recursive: true }).map(String);
  for (const path of blobs) {
    if (path.replaceAll('/', '').includes(blob.slice(2))) rmSync(`${stateDir}/blobs/${path}`);
  }
  const third = await open(sound, { stateDir });
  expect(await third.advertised()).toMatchObject([{ name: 'node' }]);
  expect(advertisedOf(await third.it.records())).toHaveLength(2);
  await third.it.stop();
  rmSync(stateDir, { recursive: true, force: true });
});

test('a program of the workspace goes on no list, and neither does one of nobody', async () => {
  const { it, tools, advertised } = await open(sound);
  await using _ = it;
  await advertised();
  const image = { reference: 'node:20-alpine', id: imageId };
  expect(tools.grownBy(1000, { image, command: ['./build.sh'] })).toBeUndefined();
  expect(tools.grownBy(undefined, { image, command: ['node'] })).toBeUndefined();
  expect(tools.grownBy(1000, { image, command: ['node', 'x.js'] })).toEqual({
    name: 'node',
    version: '20.1.0',
    binary: `sha256:${hex('a')}`,
    image: imageId,
  });
});

test('a program is on the list of one user until it is taken off, and then nothing is there', async () => {
  const { it, tools, advertised } = await open(sound);
  await using _ = it;
  await advertised();
  const node = { image: { reference: 'node:20-alpine', id: imageId }, command: ['node'] };
  const grown = tools.grownBy(1000, node);
  if (grown === undefined) throw new Error('nothing grows');
  const data = { uid: 1000, ...grown, request: 'q-1', by: [0] };
  await it.log.append({ type: 'tool.allowed', data });
  expect(tools.isAllowed(1000, node)).toBe(true);
  expect(tools.isAllowed(1001, node)).toBe(false);
  expect(tools.isAllowed(undefined, node)).toBe(false);
  expect(tools.grownBy(1000, node)).toBeUndefined();
  await tools.withdraw({ uid: 1000, name: 'node' }, user);
  expect(tools.isAllowed(1000, node)).toBe(false);
  const [record] = ofType(await it.records(), 'tool.withdrawn');
  expect(record).toMatchObject({ data: { uid: 1000, name: 'node' } });
  expect(record?.actor.kind).toBe('user');
  await expect(tools.withdraw({ uid: 1000, name: 'node' }, user)).rejects.toThrow(
    'not on the list',
  );
});
