import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { HostRules, isPublic } from '#daemon/provision/host-rules.ts';

const npm = { registry: 'https://r.example/', scopes: { '@a': 'http://inside.example:4873/' } };
const against = (address: string, ...registries: string[]) =>
  new HostRules(registries, npm).reasonAgainst(new URL(address));

test.each([
  '0.0.0.0',
  '10.1.2.3',
  '100.64.0.1',
  '127.0.0.1',
  '127.255.255.254',
  '169.254.169.254',
  '172.16.0.1',
  '172.31.255.255',
  '192.168.1.1',
  '192.0.2.1',
  '198.18.0.1',
  '203.0.113.7',
  '224.0.0.1',
  '255.255.255.255',
  '::',
  '::1',
  'fe80::1',
  'fe80::1%eth0',
  'fc00::1',
  'fd12:3456::1',
  'ff02::1',
  '2001:db8::1',
  '::ffff:127.0.0.1',
  '::ffff:7f00:1',
  '::127.0.0.1',
  '64:ff9b::10.0.0.1',
  '2002:7f00:1::',
  '2002:c0a8:101::1',
  'not an address',
])('%s is not public', (address) => {
  expect(isPublic(address)).toBe(false);
});

test.each([
  '1.1.1.1',
  '172.15.255.255',
  '172.32.0.0',
  '100.63.255.255',
  '100.128.0.0',
  '2606:4700::1111',
  '::ffff:1.1.1.1',
  '2002:101:101::',
])('%s is public', (address) => {
  expect(isPublic(address)).toBe(true);
});

test('an IPv4 address is judged alike in its mapped spelling', () => {
  fc.assert(
    fc.property(fc.ipV4(), (address) => {
      expect(isPublic(`::ffff:${address}`)).toBe(isPublic(address));
    }),
  );
});

test('nothing said is nothing allowed', () => {
  expect(against('https://r.example/x')).toMatch('policy');
});

test('the configured registries are allowed, at any address and without encryption', () => {
  expect(against('https://r.example/x', 'configured')).toBeUndefined();
  expect(against('http://inside.example:4873/x', 'configured')).toBeUndefined();
  expect(new HostRules(['configured'], npm).mayConnect('r.example', '10.0.0.1')).toBe(true);
});

test('a name is the whole host: no other port, no other label', () => {
  expect(against('https://inside.example/x', 'configured')).toMatch('policy');
  expect(against('https://b.example:8443/x', 'b.example')).toMatch('policy');
  expect(against('https://a.b.example/x', 'b.example')).toMatch('policy');
  expect(against('https://b.example/x', 'b.example')).toBeUndefined();
  expect(against('https://b.example:8443/x', 'b.example:8443')).toBeUndefined();
});

test('a host that is only named must be encrypted and hold no credentials', () => {
  expect(against('http://b.example/x', 'b.example')).toMatch('encrypted');
  expect(against('https://me:secret@b.example/x', 'b.example')).toMatch('credentials');
  expect(against('ftp://b.example/x', 'b.example')).toMatch('http');
});

test('a named host that points inward is refused unless the policy names that address', () => {
  expect(new HostRules(['b.example'], npm).mayConnect('b.example', '10.0.0.1')).toBe(false);
  expect(new HostRules(['b.example'], npm).mayConnect('b.example', '1.1.1.1')).toBe(true);
  const both = new HostRules(['b.example', '10.0.0.1', '[fd00::1]'], npm);
  expect(both.mayConnect('b.example', '10.0.0.1')).toBe(true);
  expect(both.mayConnect('b.example', 'fd00::1')).toBe(true);
  expect(both.mayConnect('b.example', '10.0.0.2')).toBe(false);
});

test('an address that the policy names is allowed by itself, other spellings mean the same', () => {
  expect(against('http://127.0.0.1:4873/x', '127.0.0.1:4873')).toBeUndefined();
  expect(against('http://2130706433:4873/x', '127.0.0.1:4873')).toBeUndefined();
  expect(against('http://127.1:4873/x', 'b.example')).toMatch('policy');
  expect(new HostRules(['localhost:1'], npm).mayConnect('localhost:1', '127.0.0.1')).toBe(true);
  expect(new HostRules(['localhost:1'], npm).mayConnect('localhost:1', '10.0.0.1')).toBe(false);
});
