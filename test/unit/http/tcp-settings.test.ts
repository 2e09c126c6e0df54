import { execFileSync } from 'node:child_process';
import { chmod, writeFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { isLoopback, parseTcpAddress, spellTcpAddress } from '#daemon/http/tcp-address.ts';
import { ListenList, namesOf, planTcp, readTls } from '#daemon/http/tcp-settings.ts';
import { tempDir } from '#test/support/temp-dir.ts';
import { makeCertificate } from '#test/support/certificate.ts';

test.each([
  '7457',
  ':7457',
  '127.1:7457',
  '0x7f.1:7457',
  '2130706433:80',
  '127.0.0.1',
  '127.0.0.1:65536',
  '127.0.0.1:',
  '::1:7457',
  '[::1]',
  '[127.0.0.1]:80',
  '[::1%lo]:80',
  'a b:80',
  'http://x:80',
  'x/y:80',
  '-x:80',
  'x..y:80',
  '127.0.0.256:80',
  '127.0.0.1:7457\n',
  `${'x'.repeat(64)}:80`,
])('%j is no address to listen on', (text) => {
  expect(parseTcpAddress(text)).toBeUndefined();
});

test.each(['127.0.0.1:7457', '[::1]:0', '0.0.0.0:443', 'ci.example.com:7457', 'localhost:80'])(
  '%s is read and written the same',
  (text) => {
    const parsed = parseTcpAddress(text);
    expect(parsed && spellTcpAddress(parsed)).toBe(text);
  },
);

test.each([
  ['127.0.0.1', true],
  ['127.255.3.4', true],
  ['::1', true],
  ['0:0:0:0:0:0:0:1', true],
  ['128.0.0.1', false],
  ['0.0.0.0', false],
  ['::', false],
  ['12.7.0.1', false],
  ['fe80::1', false],
  ['127.0.0.1.example', false],
  ['localhost', false],
])('whether %s stays on the machine: %s', (ip, here) => {
  expect(isLoopback(ip)).toBe(here);
});

const listen = (said: object) => {
  const [one] = ListenList.parse([said]);
  if (one === undefined) throw new Error('it is there');
  return one;
};

test.each([
  ['another address of the machine', '10.1.2.3:7457', ['10.1.2.3']],
  ['every address', '0.0.0.0:7457', ['0.0.0.0']],
  ['a name with one address elsewhere', 'both.example:7457', ['127.0.0.1', '10.1.2.3']],
  ['a name that looks local and is not', '127-0-0-1.example:7457', ['10.1.2.3']],
])('%s without TLS refuses the start, with the way out', async (_what, address, addresses) => {
  const asked = planTcp(listen({ address, hosts: ['x:7457'] }), () => Promise.resolve(addresses));
  await expect(asked).rejects.toMatchObject({ code: 'config.invalid', hint: /tls:/ });
});

test('a name of this machine alone may go without TLS', async () => {
  const here = () => Promise.resolve(['127.0.0.1', '::1']);
  expect(await planTcp(listen({ address: 'localhost:7457' }), here)).toMatchObject({
    ip: '127.0.0.1',
    isLocal: true,
  });
});

test('every address of the machine needs the names by which it may be called', async () => {
  await using dir = await tempDir();
  const tls = makeCertificate(dir.path);
  await expect(planTcp(listen({ address: '0.0.0.0:7457', tls }))).rejects.toMatchObject({
    hint: /hosts:/,
  });
});

test.each<[string, (dir: string, tls: { cert: string; key: string }) => unknown, RegExp]>([
  ['a key that is not there', (_dir, tls) => ((tls.key += '.x'), undefined), /cannot be read/],
  [
    'a key that everybody may read',
    async (_dir, tls) => chmod(tls.key, 0o644),
    /Everybody may read/,
  ],
  [
    'a key of another certificate',
    (dir, tls) => ((tls.key = makeCertificate(dir, 'other').key), undefined),
    /belongs to it/,
  ],
  ['a certificate that is none', async (_dir, tls) => writeFile(tls.cert, 'no'), /belongs to it/],
])('%s refuses the start', async (_what, spoil, said) => {
  await using dir = await tempDir();
  const tls = makeCertificate(dir.path);
  await spoil(dir.path, tls);
  await expect(readTls(tls)).rejects.toMatchObject({ code: 'config.invalid', message: said });
});

test.each([
  [{ address: '127.0.0.1:7457', hosts: ['Evil.example'] }],
  [{ address: '127.0.0.1:7457', hosts: ['*.example'] }],
  [{ address: '127.0.0.1:7457', hosts: [] }],
  [{ address: '127.0.0.1:7457', origins: ['https://x.example/path'] }],
  [{ address: '127.0.0.1:7457', origins: ['*'] }],
  [{ address: '127.0.0.1:7457', origins: ['null'] }],
  [{ address: '127.0.0.1:7457', tls: { cert: '/c' } }],
  [{ address: '127.0.0.1:7457', tls: { cert: 'c', key: '/k' } }],
  [{ address: '127.0.0.1:7457', token: 'orc_x' }],
])('the settings %j are refused', (said) => {
  expect(ListenList.safeParse([said]).success).toBe(false);
});

test('without names said, a listener answers to its own address, and to localhost where that is it', async () => {
  const plan = await planTcp(listen({ address: '127.0.0.1:0' }));
  expect(namesOf(plan, 4242)).toEqual({
    hosts: new Set(['127.0.0.1:4242', 'localhost:4242']),
    origins: new Set(['http://127.0.0.1:4242', 'http://localhost:4242']),
  });
  expect(namesOf(plan, 80).hosts).toContain('127.0.0.1');
  const asked = planTcp(listen({ address: 'LocalHost:0' }), () => Promise.resolve(['::1']));
  expect(namesOf(await asked, 7).hosts).toEqual(new Set(['localhost:7', '[::1]:7']));
  const named = await planTcp(listen({ address: '[::1]:0', hosts: ['ci.example'], origins: [] }));
  expect(namesOf(named, 1)).toEqual({ hosts: new Set(['ci.example']), origins: new Set() });
});

test('the certificate of these tests is one that openssl takes', async () => {
  await using dir = await tempDir();
  const { cert } = makeCertificate(dir.path);
  expect(execFileSync('openssl', ['verify', '-CAfile', cert, cert]).toString()).toContain('OK');
});
