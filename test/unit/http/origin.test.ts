import fc from 'fast-check';
import { expect, test } from 'vitest';
import { refusalOf } from '#daemon/http/origin.ts';

const rules = {
  hosts: new Set(['127.0.0.1:7457', 'localhost:7457', '[::1]:7457']),
  origins: new Set(['https://127.0.0.1:7457']),
};
const judge = (headers: Record<string, string> | string[], url = '/v1/runs') =>
  refusalOf(
    { url, rawHeaders: Array.isArray(headers) ? headers : Object.entries(headers).flat() },
    rules,
  )?.code;

const host = 'localhost:7457';

test.each<[string, Record<string, string> | string[], string | undefined]>([
  ['no name at all', {}, undefined],
  ['an empty name', { host: '' }, undefined],
  ['a name that somebody pointed at this address', { host: 'rebound.example:7457' }, undefined],
  ['a name that only begins like ours', { host: '127.0.0.1.evil.example:7457' }, undefined],
  ['a name that only ends like ours', { host: 'evil-localhost:7457' }, undefined],
  ['ours without the port', { host: 'localhost' }, undefined],
  ['ours with another port', { host: 'localhost:80' }, undefined],
  ['ours with a user before it', { host: 'x@localhost:7457' }, undefined],
  ['ours with a dot behind it', { host: 'localhost.:7457' }, undefined],
  ['an address of another spelling', { host: '127.1:7457' }, undefined],
  ['two names', ['Host', host, 'host', 'evil.example'], undefined],
  ['the same name twice', ['Host', host, 'Host', host], undefined],
  ['a target with a name of its own', { host }, 'http://evil.example/v1/runs'],
  ['a target that is no path', { host }, '*'],
])('a request with %s is not answered', (_what, headers, url) => {
  expect(judge(headers, url)).toBe('host.unknown');
});

test.each<[string, Record<string, string> | string[]]>([
  ['another page', { host, origin: 'https://evil.example' }],
  ['a page of our name in clear', { host, origin: 'http://127.0.0.1:7457' }],
  ['a page of our name on another port', { host, origin: 'https://127.0.0.1:8080' }],
  ['a page that looks like ours', { host, origin: 'https://127.0.0.1:7457.evil.example' }],
  ['a page without a name', { host, origin: 'null' }],
  [
    'our page and another one',
    ['host', host, 'origin', 'https://127.0.0.1:7457', 'Origin', 'https://x.example'],
  ],
  ['a page elsewhere, by the browser’s word', { host, 'sec-fetch-site': 'cross-site' }],
  [
    'our page, which the browser says is not',
    { host, origin: 'https://127.0.0.1:7457', 'sec-fetch-site': 'cross-site' },
  ],
  ['a page next door that does not say which', { host, 'Sec-Fetch-Site': 'same-site' }],
  ['a word that no browser says', { host, 'sec-fetch-site': 'x' }],
])('a request from %s is not answered', (_what, headers) => {
  expect(judge(headers)).toBe('origin.denied');
});

test.each<[string, Record<string, string>]>([
  ['who is no browser', { host }],
  ['who spells the name in capitals', { Host: 'LOCALHOST:7457' }],
  ['who calls by an address of six', { host: '[::1]:7457' }],
  ['our own page', { host, origin: 'https://127.0.0.1:7457', 'sec-fetch-site': 'same-origin' }],
  [
    'a listed page next door',
    { host, origin: 'https://127.0.0.1:7457', 'sec-fetch-site': 'same-site' },
  ],
  ['who typed the address', { host, 'sec-fetch-site': 'none' }],
])('%s is answered', (_what, headers) => {
  expect(judge(headers)).toBeUndefined();
});

test('whatever a name is, it is answered only if it is on the list letter by letter', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.string(), fc.webAuthority(), fc.constantFrom(...rules.hosts)),
      (name) => {
        const isListed = rules.hosts.has(name.toLowerCase());
        expect(judge({ host: name }) === undefined).toBe(isListed);
      },
    ),
  );
});
