import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Role } from '#contract/access.ts';
import type { ToolLists, ToolsAnswer } from '#contract/tools.ts';
import { actorOf, callerFor, type Identity } from '#daemon/access/caller.ts';
import type { RouteDeps } from '#daemon/http/routes/deps.ts';
import { toolRoutes } from '#daemon/http/routes/tools.ts';
import { imageId, ofType, Orchestra } from '#test/support/orchestra.ts';

const hex = (digit: string) => digit.repeat(64);
let it: Orchestra;
let routes: ReturnType<typeof toolRoutes>;

beforeAll(async () => {
  const printed = `p /bin/node /bin/node\nh ${hex('a')}  /bin/node\nm\n`;
  it = await Orchestra.open({ programs: new Map([['tools', { output: [[1, printed]] }]]) });
  routes = toolRoutes({ runsDeps: it.rooms.deps } as unknown as RouteDeps);
  for (const uid of [1000, 1001, 1002]) {
    const data = { uid, name: 'node', binary: `sha256:${hex('a')}`, image: imageId };
    await it.log.append({ type: 'tool.allowed', data: { ...data, request: 'q', by: [0] } });
  }
});
afterAll(async () => {
  await it[Symbol.asyncDispose]();
});

/** A call of somebody with these roles. */
function call(uid: number | undefined, role: Role, rest: object) {
  const identity: Identity = uid === undefined ? { auth: 'socket' } : { auth: 'peer', uid };
  const roles = new Set([role]);
  const actor = actorOf(identity, roles);
  return { caller: callerFor(identity, actor, roles), actor, query: {}, ...rest } as never;
}

describe('the list of somebody else', () => {
  test.each<Role>(['viewer', 'runner', 'approver'])('is not told a %s', async (role) => {
    const query = { uid: 1001 };
    await expect(routes.toolList(call(1000, role, { query }))).rejects.toMatchObject({
      code: 'access.denied',
    });
    expect(() => routes.toolLists(call(1000, role, { query }))).toThrow('not yours');
  });

  test.each<Role>(['runner', 'approver', 'auditor'])('is not shortened by a %s', async (role) => {
    const body = { name: 'node', uid: 1001 };
    await expect(routes.toolWithdraw(call(1000, role, { body }))).rejects.toMatchObject({
      code: 'access.denied',
    });
    expect(ofType(await it.records(), 'tool.withdrawn')).toEqual([]);
  });

  test('is told an auditor and an admin, and so are all of them', async () => {
    for (const role of ['auditor', 'admin'] as const) {
      const all = (await routes.toolLists(call(0, role, {}))) as ToolLists;
      expect(all.lists.map(({ uid }) => uid)).toEqual([1000, 1001, 1002]);
      const query = { uid: 1001 };
      const one = (await routes.toolList(call(0, role, { query }))) as ToolsAnswer;
      expect(one).toMatchObject({ uid: 1001, items: [{ name: 'node', standing: 'allowed' }] });
    }
  });
});

test('who is not known has no list, and can shorten none', async () => {
  const list = (await routes.toolList(call(undefined, 'runner', {}))) as ToolsAnswer;
  expect(list.uid).toBeUndefined();
  expect(list.items).toMatchObject([{ name: 'node', standing: 'new' }]);
  const { lists } = (await routes.toolLists(call(undefined, 'runner', {}))) as ToolLists;
  expect(lists).toEqual([]);
  const body = { name: 'node' };
  await expect(routes.toolWithdraw(call(undefined, 'runner', { body }))).rejects.toMatchObject({
    code: 'usage.invalid',
  });
});

test('a user shortens his own list, an admin anybody’s', async () => {
  const body = { name: 'node' };
  await routes.toolWithdraw(call(1001, 'runner', { body }));
  await routes.toolWithdraw(call(0, 'admin', { body: { ...body, uid: 1002 } }));
  expect(it.rooms.deps.tools.allowed.users()).toEqual([1000]);
});
