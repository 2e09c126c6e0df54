import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { isNearby, lookupNearby } from '#daemon/audit/anchoring/nearby.ts';

test.each([
  ['127.0.0.1', true],
  ['127.255.255.254', true],
  ['10.0.0.1', true],
  ['172.15.255.255', false],
  ['172.16.0.0', true],
  ['172.32.0.0', false],
  ['192.168.255.255', true],
  ['192.169.0.0', false],
  ['169.254.169.254', false],
  ['0.0.0.0', false],
  ['8.8.8.8', false],
  ['::1', true],
  ['fd00::1', true],
  ['fe80::1', false],
  ['2001:db8::1', false],
  ['::ffff:8.8.8.8', false],
])('%s is of this machine or a private network: %s', (address, near) => {
  expect(isNearby(address)).toBe(near);
});

test('a name of this machine is found, one address or all', async () => {
  const lookup = promisify(lookupNearby) as (host: string, options: object) => Promise<unknown>;
  const one = (await lookup('localhost', { family: 4 })) as string;
  const all = (await lookup('localhost', { all: true })) as { address: string }[];
  expect([one, ...all.map(({ address }) => address)].every(isNearby)).toBe(true);
  // As a number the resolver takes it for what it is: an address of the open net.
  await expect(lookup('8.8.8.8', { family: 4 })).rejects.toThrow('open net');
});
