import { expect, test } from 'vitest';
import {
  ForwardList,
  ForwardSettings,
  parseAddress,
  spellAddress,
} from '#daemon/audit/forward/settings.ts';

const whyNot = (settings: object) =>
  ForwardSettings.safeParse({ name: 'siem', ...settings }).error?.issues.map(
    ({ message }) => message,
  );

test.each([
  ['tcp://siem.example:514', 'leaves this machine without TLS'],
  ['tcp://127.0.0.1.evil.example:514', 'leaves this machine without TLS'],
  ['tcp://127.0.0.1', 'has no port'],
  ['tcp+tls://siem.example:99999', 'write tcp+tls://host:port'],
  ['tcp+tls://siem.example', 'has no port'],
  ['tcp+tls://user@siem.example:6514', 'write tcp+tls://host:port'],
  ['tcp+tls://siem.example:6514/x', 'write tcp+tls://host:port'],
  ['http://siem.example/', 'leaves this machine without TLS'],
  ['https://user:secret@siem.example/', 'holds a password; use token_file'],
  ['https://', 'is no URL'],
  ['file://relative', 'write file:///path'],
  ['file:///var/log/../../etc/passwd', 'must name a file'],
  ['file:///var/log/', 'must name a file'],
  ['unix:relative', 'write file://, unix://, tcp+tls:// or https://'],
  ['udp://127.0.0.1:514', 'write file://, unix://, tcp+tls:// or https://'],
  ['exec:///bin/sh', 'write file://, unix://, tcp+tls:// or https://'],
  ['file:///a\nb', 'holds blanks or control characters'],
])('%s is refused', (to, why) => {
  expect(whyNot({ to })).toEqual([why]);
});

test.each([
  [{ to: 'file:///x', ca: '/ca.pem' }, 'is for tcp+tls:// and https:// only'],
  [{ to: 'https://x.example/', cert: '/c.pem' }, 'cert and key belong together'],
  [{ to: 'file:///x', secret_file: '/s' }, 'is for a webhook only'],
  [{ to: 'tcp+tls://x.example:1', token_file: '/t' }, 'is for a webhook only'],
])('%j is refused', (settings, why) => {
  expect(whyNot(settings)).toContain(why);
});

test('csv, a name that is a path, a name twice and too many are refused', () => {
  const to = 'file:///x';
  expect(whyNot({ to, format: 'csv' })).toHaveLength(1);
  expect(whyNot({ to, name: '../x' })).toHaveLength(1);
  expect(
    ForwardList.safeParse([
      { name: 'a', to },
      { name: 'a', to },
    ]).success,
  ).toBe(false);
  const many = Array.from({ length: 17 }, (_, i) => ({ name: `n${i}`, to }));
  expect(ForwardList.safeParse(many).success).toBe(false);
  expect(whyNot({ to, exec: 'sh' })).toHaveLength(1);
});

test.each([
  ['file:///var/log/orchestra.jsonl', { kind: 'file', path: '/var/log/orchestra.jsonl' }],
  ['unix:///dev/log', { kind: 'unix', path: '/dev/log' }],
  ['tcp+tls://siem.example:443', { kind: 'tcp', host: 'siem.example', port: 443, tls: true }],
  ['tcp://[::1]:514', { kind: 'tcp', host: '::1', port: 514, tls: false }],
  ['tcp://localhost:514', { kind: 'tcp', host: 'localhost', port: 514, tls: false }],
])('%s is understood', (to, address) => {
  expect(parseAddress(to)).toEqual(address);
  expect(whyNot({ to })).toBeUndefined();
});

test('what may be a password is not shown', () => {
  expect(spellAddress('https://siem.example/in?key=secret')).toBe('https://siem.example/in?…');
});
