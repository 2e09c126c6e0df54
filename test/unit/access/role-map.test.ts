import fc from 'fast-check';
import { expect, test } from 'vitest';
import { roles, type Role } from '#contract/access.ts';
import { openAccounts, type Accounts } from '#daemon/access/accounts.ts';
import { callerFor, actorOf, ownerOf, type Identity } from '#daemon/access/caller.ts';
import { openLibc } from '#daemon/access/libc.ts';
import { openRoleMap } from '#daemon/access/role-map.ts';

const accounts: Accounts = {
  userName: (uid) => Promise.resolve(`u${uid}`),
  groupName: (gid) => Promise.resolve(`g${gid}`),
  uidOf: (name) => Promise.resolve({ ada: 1001, bob: 1002 }[name]),
  gidOf: (name) => Promise.resolve({ staff: 50, ops: 60 }[name]),
  gidsOf: () => Promise.resolve([]),
};
const at = { accounts, ownUid: 900 };
const someone = (uid: number, ...gids: number[]): Identity => ({ auth: 'peer', uid, gids });

test.each(['user:eve', 'group:nobody-has-it'])(
  'a line that names %s, whom the machine does not have, refuses the start',
  async (subject) => {
    const opened = openRoleMap({ runner: [subject] }, at);
    await expect(opened).rejects.toMatchObject({ code: 'config.invalid' });
  },
);

test('with a section nobody has anything that it does not say, root neither', async () => {
  const map = await openRoleMap({ admin: ['user:ada'] }, at);
  expect([...map.rolesOf(someone(0, 0))]).toEqual([]);
  expect([...map.rolesOf(someone(1002, 50))]).toEqual([]);
  expect([...map.rolesOf({ auth: 'socket' })]).toEqual([]);
  expect([...map.rolesOf(someone(1001))]).toEqual(['admin']);
});

test('without a section root and the daemon’s own user are admin, and the others run things', async () => {
  const map = await openRoleMap(undefined, at);
  expect([...map.rolesOf(someone(1001))]).toEqual(['runner']);
  expect([...map.rolesOf({ auth: 'socket' })]).toEqual(['runner']);
  expect(map.rolesOf(someone(0)).has('admin')).toBe(true);
  expect(map.rolesOf(someone(900)).has('admin')).toBe(true);
});

test('a role comes by user, by first group, by any other group or by number, and says by which line', async () => {
  const map = await openRoleMap(
    { viewer: ['group:staff'], runner: ['user:bob'], auditor: ['gid:70', 'uid:1003'] },
    at,
  );
  expect(map.granted(someone(1002, 1, 50))).toEqual([
    { role: 'viewer', by: 'access.viewer: group:staff' },
    { role: 'runner', by: 'access.runner: user:bob' },
  ]);
  expect([...map.rolesOf(someone(5, 70))]).toEqual(['auditor']);
  expect([...map.rolesOf(someone(1003, 1))]).toEqual(['auditor']);
});

test('a uid that is somebody’s gid is nobody’s role', async () => {
  const map = await openRoleMap({ admin: ['uid:50'], runner: ['gid:1001'] }, at);
  expect([...map.rolesOf(someone(1001, 50))]).toEqual([]);
});

test('a token never has more than its owner has, whoever owns it and whatever it says', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.subarray([...roles]),
      fc.subarray([...roles]),
      async (his: Role[], itsOwn: Role[]) => {
        const settings = Object.fromEntries(his.map((role) => [role, ['user:ada']]));
        const map = await openRoleMap(settings, at);
        const token = { id: 't', roles: itsOwn, allows: () => true };
        const got = map.rolesOf({ ...someone(1001), auth: 'token', token });
        const may = (role: Role) => his.includes(role) || his.includes('admin');
        expect([...got].every((role) => itsOwn.includes(role) && may(role))).toBe(true);
      },
    ),
  );
});

test('whoever sees a run has a role for it, whatever set of roles he has', () => {
  fc.assert(
    fc.property(
      fc.subarray([...roles]),
      fc.boolean(),
      fc.boolean(),
      (his: Role[], isHis: boolean, isAsking: boolean) => {
        const identity = someone(1001);
        const has = new Set(his);
        const caller = callerFor(identity, actorOf(identity, has), has);
        const run = { owner: isHis ? 'uid:1001' : 'uid:1002', isAsking };
        const reads = ['viewer', 'auditor', 'admin'] as const;
        const sees =
          reads.some((role) => has.has(role)) ||
          (has.has('runner') && isHis) ||
          (has.has('approver') && isAsking);
        expect(caller.sees(run)).toBe(sees);
        expect(caller.owns(run)).toBe(has.has('admin') || (has.has('runner') && isHis));
        // Nobody steers what he does not see.
        expect(caller.owns(run) && !caller.sees(run)).toBe(false);
      },
    ),
  );
});

test('those of whom nobody knows who they are, are one; a number and a way of proof are not mixed up', () => {
  expect(ownerOf({ kind: 'user', auth: 'socket' })).toBe('auth:socket');
  expect(ownerOf({ kind: 'user', auth: 'peer', uid: 0 })).toBe('uid:0');
  expect(ownerOf({ kind: 'user', auth: 'owner', uid: 0 })).toBe('uid:0');
  expect(ownerOf({ kind: 'daemon', auth: 'self' })).toBe('daemon');
});

test('accounts are those of the machine, with names and groups', async () => {
  const machine = openAccounts(await openLibc(), () => 0);
  const files = openAccounts(undefined, () => 0);
  for (const each of [machine, files]) {
    expect(await each.uidOf('root')).toBe(0);
    expect(await each.userName(0)).toBe('root');
    expect(await each.gidOf('root')).toBe(0);
    expect(await each.groupName(0)).toBe('root');
    expect((await each.gidsOf(0))[0]).toBe(0);
    expect(await each.uidOf('no such user\n')).toBeUndefined();
    expect(await each.userName(4_000_000_001)).toBeUndefined();
    expect(await each.groupName(4_000_000_001)).toBe('gid:4000000001');
    expect(await each.gidsOf(4_000_000_001)).toEqual([]);
  }
});
