import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { OrchestraError } from '#contract/errors.ts';
import { TaskReceipt } from '#contract/explain.ts';
import { limitNames, limitWords } from '#contract/limits.ts';
import { rules } from '#daemon/policy/rules/index.ts';
import { explainTask } from '#daemon/runs/explain.ts';
import { floorWalls } from '#daemon/runs/explain-words.ts';
import { ofType, Orchestra } from '#test/support/orchestra.ts';

let it: Orchestra;
beforeAll(async () => {
  it = await Orchestra.open();
});
afterAll(async () => {
  await it[Symbol.asyncDispose]();
});
afterEach(() => {
  it.programs.clear();
  it.fake.tamper = (effective) => effective;
});

const build = { id: 'build', tool: 'node', args: ['build.js'] };
const after = { id: 'after', tool: 'node', args: ['after.js'], deps: ['build'] };

async function explained(run: string, task = 'build', attempt?: number): Promise<TaskReceipt> {
  const answer = await explainTask(it.rooms.runs, it.rooms.deps, { run, task, attempt });
  return TaskReceipt.parse(answer);
}

async function setting(run: string, name: string) {
  const { settings } = await explained(run);
  const found = settings.find((each) => each.name === name);
  if (!found) throw new Error(`there is no setting ${name}`);
  return found;
}

test('a task that is denied at the last moment has no receipt, and the rule and the remedy instead', async () => {
  const { text } = it.rooms.deps.policies.get('ci');
  const policy = text.replace('userns: preferred', 'userns: required');
  const run = await it.run([build], { policy: { text: policy, file: 'ci.yaml' } });
  const answer = await explained(run);
  expect(answer).toMatchObject({ state: 'violated', settings: [] });
  expect(answer.receipt).toBeUndefined();
  expect(answer.reasons).toContainEqual({
    rule: 'confinement',
    message: expect.stringContaining('user namespaces are required') as string,
    change: expect.stringContaining('`isolation` of the policy') as string,
  });
});

test('a task of a plan that was refused shows what was said of it, though there is no plan', async () => {
  const denied = { ...build, tool: 'exec', args: ['ls'] };
  const run = await it.run([denied], { policy: { name: 'strict' } });
  const answer = await explained(run);
  expect(answer).toMatchObject({ state: 'refused', settings: [], attempt: 0 });
  expect(answer.reasons.map(({ message }) => message).join('\n')).toContain('exec');
});

test('a task that was skipped says for whom, and was given no sandbox', async () => {
  it.programs.set('build', { exitCode: 3 });
  const run = await it.run([build, after]);
  const answer = await explained(run, 'after');
  expect(answer.receipt).toBeUndefined();
  expect(answer.reasons).toEqual([{ message: 'skipped: build did not succeed' }]);
});

test('a sandbox that was made otherwise shows where, and was never released', async () => {
  it.fake.tamper = (effective) => ({
    ...effective,
    settings: { ...effective.settings, privileged: true },
  });
  const answer = await explained(await it.run([build]));
  expect(answer.receipt).toBeUndefined();
  expect(answer.reasons[0]).toMatchObject({
    rule: 'comparison',
    message: expect.stringMatching(/^privileged/) as string,
  });
});

test.each([
  ['a task that is not in the plan', 'nobody', undefined],
  ['an attempt that never was', 'build', 7],
])('%s is an error that says so', async (_what, task, attempt) => {
  const run = await it.run([build]);
  await expect(explained(run, task, attempt)).rejects.toMatchObject({ code: 'task.unknown' });
  await expect(explained(run, task, attempt)).rejects.toBeInstanceOf(OrchestraError);
});

test('the receipt is on record before the sandbox is released, and is what explain shows', async () => {
  const run = await it.run([build]);
  const records = await it.records(run);
  const [receipt] = ofType(records, 'sandbox.receipt');
  const release = records.find(({ type }) => type === 'container.release');
  expect(receipt?.seq).toBeLessThan(release?.seq ?? 0);
  const answer = await explained(run);
  expect(answer.receipt).toMatchObject({ seq: receipt?.seq, data: receipt?.data });
  const decided = ofType(records, 'policy.decided')[0]?.data;
  expect(receipt?.data.requested).toBe(decided?.spec);
  expect(receipt?.data.policy).toEqual(answer.policy);
});

test('a receipt shows what mounts hold, and no path of the host', async () => {
  it.programs.set('build', {
    effect: ({ mounts }) => {
      const workspace = mounts.find((mount) => mount.kind === 'overlay');
      writeFileSync(join(workspace?.upper ?? '', 'built.txt'), 'built');
    },
  });
  const last = { ...after, id: 'last', deps: ['after'] };
  const run = await it.run([build, after, last]);
  const [first, second, third] = ofType(await it.records(run), 'sandbox.receipt');
  const layer = ofType(await it.records(run), 'layer.sealed')[0]?.data.layer;
  const workspace = (data: typeof first) =>
    data?.data.mounts.find(({ target }) => target === '/workspace');
  expect(workspace(first)?.layers).toHaveLength(1);
  expect(workspace(second)?.layers).toEqual([...(workspace(first)?.layers ?? []), layer]);
  // What the second left is nothing, and is not shown.
  expect(workspace(third)?.layers).toEqual(workspace(second)?.layers);
  expect(JSON.stringify(first?.data)).not.toContain(it.stateDir);
});

test('every rule of the policy and every part of the floor is behind some setting', async () => {
  const { settings } = await explained(await it.run([build]));
  const named = new Set(settings.flatMap(({ decidedBy }) => decidedBy));
  const missing = [
    ...Object.keys(rules).map((name) => `rule ${name}`),
    ...Object.values(floorWalls).map((words) => `floor: ${words}`),
  ].filter((name) => !named.has(name));
  expect(missing).toEqual([]);
  for (const { name, change } of settings) expect(change, name).not.toBe('');
  expect(new Set(settings.map(({ name }) => name)).size).toBe(settings.length);
});

test('every limit is a setting', async () => {
  const { settings } = await explained(await it.run([build]));
  const names = settings.map(({ name }) => name);
  expect(names).toEqual(
    expect.arrayContaining(limitNames.map((each) => `limits.${limitWords[each]}`)),
  );
});

test('a limit that the plan left alone is the policy’s', async () => {
  const memory = await setting(await it.run([build]), 'limits.memory');
  expect(memory).toMatchObject({ requested: '2 GiB', effective: '2 GiB, no swap' });
  expect(memory.decidedBy).toContain('policy default: limits.memory');
  expect(memory.change).toContain('`limits.memory` of policy default');
});

test('a limit for which the plan asked less says so, and up to where it may go', async () => {
  const run = await it.run([{ ...build, limits: { memory: '64MiB' } }]);
  const memory = await setting(run, 'limits.memory');
  expect(memory.requested).toBe('64 MiB');
  expect(memory.decidedBy).toContain('plan asked for less than the 2 GiB of policy default');
  expect(memory.change).toBe('`memory` in the limits of the task, up to 2 GiB');
});

test('a limit for which the plan asked more says that it was lowered', async () => {
  const run = await it.run([{ ...build, limits: { memory: '64GiB' } }]);
  expect((await setting(run, 'limits.memory')).decidedBy).toContain(
    'plan asked for more: memory 64 GiB lowered to 2 GiB by policy default',
  );
});

test('a limit that the ceiling lowered says who narrowed it', async () => {
  const { text } = it.rooms.deps.policies.get('ci');
  const policy = text.replace('memory: 2GiB', 'memory: 9GiB');
  const run = await it.run([build], { policy: { text: policy, file: 'wide.yaml' } });
  expect((await setting(run, 'limits.memory')).decidedBy).toContain(
    'narrowed: 9 GiB lowered to 2 GiB by policy default',
  );
});

test('what was kept of a run explains it when the documents beside the log are gone', async () => {
  const run = await it.run([build]);
  const gone = {
    read: () => Promise.reject(new OrchestraError('blob.unknown', 'it was thrown away')),
  } as unknown as typeof it.rooms.deps.blobs;
  const { log } = it.rooms.deps;
  const answer = await explainTask(
    it.rooms.runs,
    { ...it.rooms.deps, log, blobs: gone },
    { run, task: 'build' },
  );
  const seccomp = answer.settings.find(({ name }) => name === 'seccomp');
  expect(seccomp?.requested).toBe('not kept');
  expect(seccomp?.effective).not.toBe('');
  expect(answer.settings.length).toBeGreaterThan(20);
});

test('a task that ran anew says what differs since it ran before', async () => {
  const more = { cache: true, workspace: 'of its own' };
  const one = await it.run([build], more);
  expect((await explained(one)).differs).toBeUndefined();
  const again = await it.run([{ ...build, args: ['build.js', '--fast'] }], more);
  expect((await explained(again)).differs).toEqual({
    since: one,
    what: 'its command changed from node build.js to node build.js --fast',
  });
});
