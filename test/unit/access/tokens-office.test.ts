import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { roles as everyRole, type Role } from '#contract/access.ts';
import { Scope, scopesAllow, type CreatedToken, type CreateToken } from '#contract/tokens.ts';
import type { Caller, Identity } from '#daemon/access/caller.ts';
import type { RoleMap } from '#daemon/access/role-map.ts';
import { Refusals } from '#daemon/access/refusals.ts';
import { TokenDoor } from '#daemon/access/tokens-door.ts';
import { Guesses } from '#daemon/access/tokens-guesses.ts';
import { TokenOffice } from '#daemon/access/tokens-office.ts';
import { Tokens } from '#daemon/access/tokens.ts';
import { openLog } from '#daemon/audit/log.ts';
import type { Log } from '#daemon/audit/types.ts';
import { KnownAccounts, rolesBy } from '#test/support/accounts.ts';
import { callerWith } from '#test/support/edge.ts';
import { tempDir } from '#test/support/temp-dir.ts';

const dayMs = 86_400_000;
const settings = { usualMs: 30 * dayMs, maxMs: 365 * dayMs };

let dir: Awaited<ReturnType<typeof tempDir>>;
let log: Log;
let tokens: Tokens;
let accounts: KnownAccounts;
let roles: RoleMap;
let office: TokenOffice;
let door: TokenDoor;
let now: number;

beforeEach(async () => {
  dir = await tempDir();
  tokens = new Tokens();
  now = Date.now();
  log = await openLog({
    dir: dir.path,
    version: '0',
    origin: 'test',
    onRecord: (record) => tokens.fold(record),
  });
  accounts = new KnownAccounts([
    [1000, 'maria', 1000, 50],
    [1001, 'otto', 1001, 50],
    [1002, 'ada', 1002, 60],
  ]);
  roles = await rolesBy({ runner: ['gid:50'], auditor: ['uid:1001'], admin: ['gid:60'] }, accounts);
  build();
});

afterEach(async () => {
  await log.close();
  await dir[Symbol.asyncDispose]();
});

function build(): void {
  office = new TokenOffice({ log, tokens, accounts, roles, settings, now: () => now });
  const refusals = new Refusals({ log });
  door = new TokenDoor({
    tokens,
    accounts,
    roles,
    guesses: new Guesses(),
    refusals,
    now: () => now,
  });
}

const maria = () => callerWith(['runner'], { uid: 1000, gids: [1000, 50] });
const ada = () => callerWith(['admin'], { uid: 1002, gids: [1002, 60] });
const knock = (token: string) =>
  door.admit({ authorization: `Bearer ${token}`, address: '10.0.0.1', path: '/v1/runs' });

/** Who shows it, as the edge would see him. */
async function bearer(made: CreatedToken): Promise<Caller> {
  const identity = await knock(made.token);
  return callerWith([...roles.rolesOf(identity)], identity);
}

async function recorded(type: string) {
  const found = [];
  for await (const { record } of log.read()) if (record.type === type) found.push(record);
  return found;
}

test.each<[string, () => Caller, CreateToken, string]>([
  ['a role that its maker lacks', maria, { roles: ['admin'] }, 'access.denied'],
  ['one role of his and one that is not', maria, { roles: ['runner', 'auditor'] }, 'access.denied'],
  ['somebody else', maria, { for: 'otto' }, 'access.denied'],
  [
    'somebody whom there is not, asked for by who may not ask',
    maria,
    { for: 'x' },
    'access.denied',
  ],
  ['somebody whom there is not', ada, { for: 'nobody-here' }, 'request.invalid'],
  ['somebody whom there is not, by number', ada, { for: '99999' }, 'request.invalid'],
  ['a role that its owner lacks', ada, { for: 'maria', roles: ['auditor'] }, 'access.denied'],
  ['longer than the settings allow', maria, { expiresMs: 366 * dayMs }, 'request.invalid'],
  [
    'a caller without a number',
    () => callerWith(['runner'], { auth: 'socket', uid: undefined as never }),
    {},
    'access.denied',
  ],
  [
    'a caller whose account is gone',
    () => callerWith(['runner'], { uid: 4242 }),
    {},
    'access.denied',
  ],
])('a token for %s is not made', async (_what, caller, asked, code) => {
  await expect(office.create(asked, caller())).rejects.toMatchObject({ code });
  expect(await recorded('token.created')).toEqual([]);
});

test('the log has a hash of a token and nothing of its secret, and neither has any list', async () => {
  const { token, id } = await office.create({ note: 'for the build' }, maria());
  const [line] = await recorded('token.created');
  const all = JSON.stringify([line, await office.list(ada()), await office.revoke(id, 'x', ada())]);
  expect(all).not.toContain(token);
  expect(all).not.toContain(token.slice(4, 20));
  expect(line).toMatchObject({ obj: { token: id }, data: { uid: 1000, note: 'for the build' } });
});

test('what nobody asks for is not in it: no admin, no more than runs, thirty days', async () => {
  const { roles: has, scopes, expires_at: until } = await office.create({}, ada());
  expect({ has, scopes }).toEqual({ has: ['runner'], scopes: ['runs:read', 'runs:write'] });
  expect(Date.parse(until)).toBe(now + 30 * dayMs);
});

test('a token makes no tokens, unless an admin made it for that', async () => {
  const plain = await office.create({ scopes: ['all', 'tokens:write'] }, maria());
  await expect(office.create({}, await bearer(plain))).rejects.toMatchObject({
    code: 'access.denied',
  });
  const made = await office.create(
    { roles: ['admin'], scopes: ['runs:read', 'tokens:write'] },
    ada(),
  );
  const caller = await bearer(made);
  const child = await office.create({ roles: ['runner'], scopes: ['runs:read'] }, caller);
  expect(child.uid).toBe(1002);
  await expect(office.create({ scopes: ['audit:read'] }, caller)).rejects.toThrow('audit:read');
  await expect(office.create({ scopes: ['all'] }, caller)).rejects.toThrow('all');
});

test('somebody else’s token is neither seen nor revoked, and its id tells nothing', async () => {
  const { id } = await office.create({}, callerWith(['runner'], { uid: 1001, gids: [1001, 50] }));
  expect(await office.list(maria())).toEqual([]);
  const said = async (asked: string) => {
    const refused = await office.revoke(asked, undefined, maria()).catch((error: Error) => error);
    return refused instanceof Error ? refused.message.replace(asked, '') : 'it was revoked';
  };
  expect(await said(id)).toBe(await said('t-0000000000'));
  expect(await office.revoke(id, undefined, ada())).toMatchObject({ state: 'revoked' });
});

test('revoking twice records it once', async () => {
  const { id } = await office.create({}, maria());
  await office.revoke(id, 'lost', maria());
  await office.revoke(id, 'lost', maria());
  expect(await recorded('token.revoked')).toMatchObject([{ data: { token: id, reason: 'lost' } }]);
});

test('one owner has a limited number of tokens', async () => {
  const made = [];
  for (let i = 0; i < 64; i += 1) made.push(await office.create({}, maria()));
  await expect(office.create({}, maria())).rejects.toThrow('64 tokens');
  await office.revoke(made[0]?.id ?? '', undefined, maria());
  expect(await office.create({}, maria())).toMatchObject({ state: 'active' });
});

test('a token of a user whose role is gone, or who is gone himself, gets nothing', async () => {
  const { token, id } = await office.create({}, maria());
  expect(await knock(token)).toMatchObject({ auth: 'token', uid: 1000, user: 'maria' });
  expect(await door.stands(id)).toBe(true);
  const account = accounts.users.get(1000);
  accounts.users.set(1000, { name: 'maria', gids: [1000] });
  await expect(knock(token)).rejects.toMatchObject({ code: 'access.denied' });
  expect(await door.stands(id)).toBe(false);
  expect(await office.list(maria())).toMatchObject([{ state: 'idle' }]);
  accounts.users.delete(1000);
  await expect(knock(token)).rejects.toMatchObject({ code: 'access.denied' });
  if (account) accounts.users.set(1000, account);
  expect(await knock(token)).toMatchObject({ uid: 1000 });
  expect(await recorded('auth.failed')).toMatchObject([
    { data: { reason: 'idle' } },
    { data: { reason: 'idle' } },
  ]);
});

test('where nobody was given roles, who may not open the socket any more stays out with a token too', async () => {
  roles = await rolesBy({ runner: ['anyone'] }, accounts);
  build();
  const { token } = await office.create({}, maria());
  const closed = new TokenDoor({
    tokens,
    accounts,
    roles,
    guesses: new Guesses(),
    refusals: new Refusals({ log }),
    mayOpen: ({ gids = [] }) => gids.includes(51),
    now: () => now,
  });
  const asked = { authorization: `Bearer ${token}`, address: '10.0.0.1', path: '/v1/runs' };
  await expect(closed.admit(asked)).rejects.toMatchObject({ code: 'access.denied' });
});

test.each([
  [undefined, 'token.missing', 'missing'],
  ['', 'token.missing', 'missing'],
  ['Basic bWFyaWE6eA==', 'token.missing', 'missing'],
  ['Bearer', 'token.missing', 'missing'],
  ['Bearer a b', 'token.missing', 'missing'],
  [`Bearer ${'x'.repeat(300)}`, 'token.missing', 'missing'],
  ['Bearer orc_short', 'token.invalid', 'malformed'],
  ['Bearer __proto__', 'token.invalid', 'malformed'],
])(
  'the header %j is refused and recorded, and not said again',
  async (authorization, code, reason) => {
    const asked = door.admit({ authorization, address: '10.0.0.9', path: '/v1/runs' });
    const error = await asked.catch((cause: Error) => cause);
    expect(error).toMatchObject({ code });
    const [line] = await recorded('auth.failed');
    expect(line).toMatchObject({ outcome: 'denied', data: { reason, address: '10.0.0.9' } });
    expect(JSON.stringify([line, (error as Error).message])).not.toContain('x'.repeat(20));
  },
);

test('that the daemon lives is told without a token, and nothing else is', async () => {
  const identity = await door.admit({ authorization: undefined, address: 'x', path: '/healthz' });
  expect(roles.rolesOf(identity)).toEqual(new Set());
  expect(
    ['health', 'ready', 'version', 'runList'].map((name) => identity.token?.allows(name)),
  ).toEqual([true, true, false, false]);
  for (const path of ['/version', '/healthz/', '/openapi.json', '/v1/doctor']) {
    const asked = door.admit({ authorization: undefined, address: 'x', path });
    await expect(asked).rejects.toMatchObject({ code: 'token.missing' });
  }
});

test('whoever keeps guessing is told to wait, without a record for each try', async () => {
  const { token } = await office.create({}, maria());
  const codes = [];
  for (let i = 0; i < 40; i += 1) {
    codes.push(await knock(`orc_${i}`).catch((error: { code: string }) => error.code));
  }
  expect(codes.slice(0, 10)).toEqual(Array(10).fill('token.invalid'));
  expect(new Set(codes.slice(10))).toEqual(new Set(['daemon.busy']));
  expect(await recorded('auth.failed')).toHaveLength(10);
  await expect(knock(token)).rejects.toMatchObject({ code: 'daemon.busy' });
  now += 61_000;
  expect(await knock(token)).toMatchObject({ uid: 1000 });
});

test('a token never gives a role or a call that its owner does not have at that moment', async () => {
  const someRoles = fc.uniqueArray(fc.constantFrom(...everyRole), { maxLength: 5 });
  const someScopes = fc.subarray([...Scope.options], { minLength: 1 });
  await fc.assert(
    fc.asyncProperty(
      someRoles,
      someRoles,
      someScopes,
      someRoles,
      async (before, wanted, scopes, after) => {
        const has = new Set<Role>(before);
        const granted = (identity: Identity) => {
          const shown = identity.token?.roles ?? [...has];
          const holds = (role: Role) => has.has('admin') || has.has(role);
          return new Set(shown.filter(holds));
        };
        const changing = { rolesOf: granted } as unknown as RoleMap;
        const own = new Tokens();
        const keep = {
          append: async (entry: object) => {
            own.fold({ seq: 0, ts: new Date(now).toISOString(), ...entry } as never);
            return Promise.resolve(undefined as never);
          },
        };
        const made = await new TokenOffice({
          log: keep,
          tokens: own,
          accounts,
          roles: changing,
          settings,
          now: () => now,
        })
          .create(
            { scopes, ...(wanted.length === 0 ? {} : { roles: wanted }) },
            callerWith(before, { uid: 1000 }),
          )
          .catch(() => undefined);
        const may = (role: Role, set: ReadonlySet<Role>) => set.has('admin') || set.has(role);
        if (wanted.some((role) => !may(role, has))) expect(made).toBeUndefined();
        if (made === undefined) return;
        expect(made.roles.every((role) => may(role, has))).toBe(true);
        expect(scopes.every((scope) => made.scopes.includes(scope))).toBe(true);
        expect(made.scopes.every((scope) => scopesAllow(scopes, scope) || scope === 'all')).toBe(
          true,
        );
        // The configuration changes behind its back.
        has.clear();
        for (const role of after) has.add(role);
        const entry = new TokenDoor({
          tokens: own,
          accounts,
          roles: changing,
          guesses: new Guesses(),
          refusals: { record: () => Promise.resolve() },
          now: () => now,
        });
        const identity = await entry
          .admit({ authorization: `Bearer ${made.token}`, address: 'x', path: '/v1/runs' })
          .catch(() => undefined);
        const effective = identity === undefined ? new Set<Role>() : changing.rolesOf(identity);
        for (const role of effective) {
          expect(may(role, has)).toBe(true);
          expect(made.roles).toContain(role);
        }
      },
    ),
    { numRuns: 300 },
  );
});
