import { describe, expect, test } from 'vitest';
import type { Digest } from '#contract/ids.ts';
import type { GrownTool } from '#contract/tools.ts';
import { Asked, asker, askedRun, person } from '#test/support/asked.ts';

const digest = (digit: string): Digest => `sha256:${digit.repeat(64)}`;
const node: GrownTool = {
  name: 'node',
  version: '20.1.0',
  binary: digest('1'),
  image: digest('2'),
};
const rule = (id: string) => ({ document: 'default', id, digest: digest('3'), line: 7 });
const forTool = { grows: node, rules: [rule('tool-not-allowed')] };
const ada = person(2001);
const bob = person(2002);
const types = (it: Asked) => it.log.entries.map(({ type }) => type);

describe('nothing comes on the list', () => {
  test('when it is denied', async () => {
    const it = await Asked.open();
    const request = await it.ask({}, forTool);
    await it.answer(request, ada, 'deny', { reason: 'no' });
    expect(types(it)).not.toContain('tool.allowed');
  });

  test('while the second of two has not said yes', async () => {
    const it = await Asked.open();
    const request = await it.ask({ approvals: 2 }, forTool);
    await it.answer(request, ada, 'approve');
    expect(it.allowed.users()).toEqual([]);
    await it.answer(request, bob, 'approve');
    expect(it.allowed.of(1000)).toMatchObject([{ name: 'node', by: [2001, 2002] }]);
  });

  test('by a grant that is about something else', async () => {
    const it = await Asked.open();
    const request = await it.ask({}, { rules: [rule('prod')] });
    await it.answer(request, ada, 'approve');
    expect(types(it)).not.toContain('tool.allowed');
  });

  test('of a user whom nobody knows', async () => {
    const it = await Asked.open({ kind: 'user', auth: 'socket' });
    const request = await it.ask({}, forTool);
    await it.answer(request, ada, 'approve');
    expect(request.state).toBe('granted');
    expect(types(it)).not.toContain('tool.allowed');
  });
});

test('a grant puts the program on the list of who asked, not of who approved', async () => {
  const it = await Asked.open();
  const request = await it.ask({}, forTool);
  await it.answer(request, ada, 'approve');
  expect(types(it).slice(-3)).toEqual(['request.answered', 'request.closed', 'tool.allowed']);
  expect(it.allowed.users()).toEqual([1000]);
  expect(it.allowed.of(1000)).toMatchObject([{ ...node, request: request.id, by: [2001] }]);
});

test('a daemon that was killed between an answer and its end puts it on the list when it starts', async () => {
  const it = await Asked.open();
  const request = await it.ask({}, forTool);
  await it.answer(request, ada, 'approve');
  it.log.entries.splice(-2);
  await it.restart();
  expect(it.states.find(request.id)?.state).toBe('granted');
  expect(it.allowed.of(1000)).toMatchObject([{ name: 'node', by: [2001] }]);
  await it.restart();
  expect(types(it).filter((type) => type === 'tool.allowed')).toHaveLength(1);
});

describe('what else asks for that program', () => {
  test('and for nothing more is granted along, for the same user', async () => {
    const it = await Asked.open();
    await it.submitted('r-asked00002', asker);
    const request = await it.ask({}, forTool);
    const other = await it.ask({}, { ...forTool, task: 'build' });
    const otherRun = await it.ask({}, { ...forTool, run: 'r-asked00002' });
    await it.answer(request, ada, 'approve');
    for (const one of [other, otherRun]) {
      expect(one).toMatchObject({
        state: 'granted',
        reason: `node is on the list since ${request.id}`,
      });
    }
    expect(it.allowed.of(1000)).toHaveLength(1);
  });

  test('for another user, by another rule too, or in another image goes on asking', async () => {
    const it = await Asked.open();
    await it.submitted('r-asked00002', { ...asker, uid: 1001 });
    const request = await it.ask({}, forTool);
    const others = [
      await it.ask({}, { ...forTool, run: 'r-asked00002' }),
      await it.ask({}, { ...forTool, task: 'a', rules: [...forTool.rules, rule('prod')] }),
      await it.ask({}, { ...forTool, task: 'b', grows: { ...node, image: digest('9') } }),
      await it.ask({}, { ...forTool, task: 'c', grows: { ...node, binary: digest('9') } }),
    ];
    await it.answer(request, ada, 'approve');
    expect(others.map(({ state }) => state)).toEqual(['open', 'open', 'open', 'open']);
  });
});

test('what was granted before the program was taken off the list does not count any more', async () => {
  const it = await Asked.open();
  const opening = it.opening({}, forTool);
  const request = await it.requests.open(opening);
  await it.answer(request, ada, 'approve');
  const terms = { approvals: 1, from: [['approver']], self: true };
  expect(it.requests.granted(opening, terms)?.id).toBe(request.id);
  await it.record({ type: 'tool.withdrawn', data: { uid: 1000, name: 'node' } });
  expect(it.requests.granted(opening, terms)).toBeUndefined();
  const again = await it.requests.open(opening);
  expect(again).toMatchObject({ run: askedRun, state: 'open' });
});
