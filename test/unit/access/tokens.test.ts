import fc from 'fast-check';
import { crc32 } from 'node:zlib';
import { expect, test } from 'vitest';
import { endpoints, type Endpoint } from '#contract/api.ts';
import type { AnyRecord } from '#contract/records.ts';
import { isTokenText, Scope, scopeFor, scopesAllow, spellToken } from '#contract/tokens.ts';
import { InForce } from '#daemon/audit/retention/in-force.ts';
import { isBad, makeToken, Tokens } from '#daemon/access/tokens.ts';

const now = Date.parse('2026-05-01T00:00:00.000Z');
const dayMs = 86_400_000;
let seq = 0;

function record(type: string, data: object, at = now): AnyRecord {
  return { type, data, seq: (seq += 1), ts: new Date(at).toISOString() } as unknown as AnyRecord;
}

function created(token: string, hash: string, { days = 30, at = now } = {}): AnyRecord {
  const expires_at = new Date(at + days * dayMs).toISOString();
  const said = { token, hash, uid: 1000, roles: ['runner'], scopes: ['runs:read'], expires_at };
  return record('token.created', said, at);
}

const revoked = (token: string) => record('token.revoked', { token, reason: 'x' });
const why = (tokens: Tokens, text: string, at = now) => {
  const found = tokens.find(text, at);
  return isBad(found) ? found.why : found.id;
};

test('a token that was cut, lengthened or mistyped anywhere is known as such without being looked up', () => {
  const bytes = fc.uint8Array({ minLength: 32, maxLength: 32 });
  fc.assert(
    fc.property(
      bytes,
      fc.nat(52),
      fc.constantFrom('0', 'a', 'Z', '9', '_', '-'),
      (secret, at, letter) => {
        const text = spellToken(secret);
        expect(text).toMatch(/^orc_[0-9A-Za-z]{49}$/);
        expect(isTokenText(text)).toBe(true);
        expect(isTokenText(text.slice(0, at))).toBe(false);
        expect(isTokenText(`${text}${letter}`)).toBe(false);
        if (text[at] === letter) return;
        expect(isTokenText(text.slice(0, at) + letter + text.slice(at + 1))).toBe(false);
      },
    ),
  );
});

test('the checksum is the CRC-32 that everybody has, so a scanner can tell a token from a word', () => {
  const text = spellToken(new Uint8Array(32).fill(7));
  const digits = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
  const said = text
    .slice(47)
    .split('')
    .reduce((sum, each) => sum * 62 + digits.indexOf(each), 0);
  expect(said).toBe(crc32(text.slice(4, 47)));
});

test('what was never given out, has expired or was revoked counts for nothing', () => {
  const tokens = new Tokens();
  const [one, other] = [makeToken(), makeToken()];
  tokens.fold(created('t-0000000001', one.hash));
  expect(why(tokens, one.text)).toBe('t-0000000001');
  expect(why(tokens, other.text)).toBe('unknown');
  expect(why(tokens, one.text.slice(0, -1))).toBe('malformed');
  expect(why(tokens, one.text, now + 30 * dayMs - 1)).toBe('t-0000000001');
  expect(why(tokens, one.text, now + 30 * dayMs)).toBe('expired');
  tokens.fold(revoked('t-0000000001'));
  expect(why(tokens, one.text)).toBe('revoked');
});

test('a revoked token stays so, whatever is read of its making after that', () => {
  const tokens = new Tokens();
  const { text, hash } = makeToken();
  const making = created('t-0000000002', hash);
  tokens.fold(revoked('t-0000000002'));
  tokens.fold(making);
  expect(why(tokens, text)).toBe('revoked');
});

test('whoever listens hears of a revoked token while it is being revoked', () => {
  const tokens = new Tokens();
  const heard: string[] = [];
  const listening = tokens.onRevoked((id) => heard.push(id));
  tokens.fold(revoked('t-0000000003'));
  listening[Symbol.dispose]();
  tokens.fold(revoked('t-0000000004'));
  expect(heard).toEqual(['t-0000000003']);
});

test('tokens that are over for a month are forgotten, by the time of the log', () => {
  const tokens = new Tokens();
  tokens.fold(created('t-0000000005', makeToken().hash, { days: 1 }));
  tokens.fold(created('t-0000000006', makeToken().hash, { at: now + 20 * dayMs }));
  expect(tokens.all()).toHaveLength(2);
  tokens.fold(created('t-0000000007', makeToken().hash, { at: now + 40 * dayMs }));
  expect(tokens.get('t-0000000005')).toBeUndefined();
});

test('a token is carried over a prune while it holds, and not once it is revoked or over', () => {
  const force = new InForce();
  const carriedIn = () => force.before(Infinity).map(({ of }) => of);
  const [kept, gone, over] = [
    created('t-0000000008', 'a'.repeat(64)),
    created('t-0000000009', 'b'.repeat(64)),
    created('t-000000000a', 'c'.repeat(64), { days: 1 }),
  ];
  for (const each of [kept, gone, over]) force.fold(each);
  expect(carriedIn()).toEqual([kept.seq, gone.seq, over.seq]);
  force.fold(revoked('t-0000000009'));
  force.fold(created('t-000000000b', 'd'.repeat(64), { at: now + 2 * dayMs }));
  expect(carriedIn()).toEqual([kept.seq, seq]);
});

test('a record of its making that is carried after its revocation brings no token back', () => {
  const force = new InForce();
  const making = created('t-000000000c', 'e'.repeat(64));
  force.fold(revoked('t-000000000c'));
  force.fold(record('log.carried', { of: making.seq, line: JSON.stringify(making) }));
  expect(force.before(Infinity)).toEqual([]);
});

test('every path of the API is of an area, or open to any token, or for those of all scopes', () => {
  const rows = Object.entries<Endpoint>(endpoints).map(([name, row]) => [name, scopeFor(row)]);
  const needs = Object.fromEntries(rows) as Record<string, string>;
  expect(needs).toMatchObject({
    health: 'any',
    auditCheckpoint: 'any',
    runSubmit: 'runs:write',
    snapshotPut: 'runs:write',
    taskLog: 'runs:read',
    auditExport: 'audit:read',
    auditVerify: 'audit:read',
    auditKeysRotate: 'audit:write',
    secretSet: 'secrets:write',
    tokenCreate: 'tokens:write',
    storePrune: 'store:write',
  });
  // What nobody sorted in takes a token for everything: it is not open by being new.
  expect(scopeFor({ method: 'GET', path: '/v1/new-thing' })).toBe('all');
  expect(scopeFor({ method: 'POST', path: '/v1/new-thing' })).toBe('all');
});

test('a scope allows what it says and nothing else; all of them still make no tokens', () => {
  fc.assert(
    fc.property(
      fc.subarray([...Scope.options]),
      fc.constantFrom(...Scope.options),
      (scopes, needed) => {
        const said = scopes.includes(needed);
        const byAll = scopes.includes('all') && needed !== 'tokens:write';
        expect(scopesAllow(scopes, needed)).toBe(said || byAll);
      },
    ),
  );
});
