import { hash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { checkedExport } from '#cli/audit/checked-export.ts';
import { daemonWithRun, type FakeDaemon } from '#test/support/fake-daemon.ts';
import { orchestra } from '#test/support/run-orchestra.ts';
import { tempDir } from '#test/support/temp-dir.ts';

const screen = { rows: 24, columns: 80 };

async function said(daemon: FakeDaemon, args: string[], more: { screen?: typeof screen } = {}) {
  await using dir = await tempDir();
  const ran = orchestra(['audit', ...args], { cwd: dir.path, host: daemon.host, ...more });
  const code = await ran.code;
  const files = await readdir(dir.path);
  const [file = ''] = files;
  const text = file === '' ? '' : await readFile(join(dir.path, file), 'utf8');
  return { code, out: ran.out(), err: ran.err(), files, text };
}

function exported(lines: readonly string[], wrong: { records?: number; sha256?: string } = {}) {
  const body = lines.map((line) => `${line}\n`).join('');
  const records = wrong.records ?? lines.length;
  const manifest = {
    orchestra_export: 1,
    origin: 'log-1',
    version: '0',
    time: '2026-01-01T00:00:00.000Z',
    query: { format: 'jsonl' },
    from_seq: 0,
    to_seq: lines.length,
    records,
    tree_size: lines.length,
  };
  const sha256 = wrong.sha256 ?? hash('sha256', body, 'hex');
  const trailer = { orchestra_export_end: 1, records, sha256 };
  return `${JSON.stringify(manifest)}\n${body}${JSON.stringify(trailer)}\n`;
}

const lines = ['{"seq":0}', '{"seq":1,"x":"\u202e"}', '{"seq":2}'];
const whole = exported(lines);

test.each([
  ['a terminal', ['export'], screen],
  ['a terminal by name', ['export', '-o', '-'], screen],
  ['--json and no file', ['export', '--json'], undefined],
  ['an unknown format', ['export', '--format', 'xml'], undefined],
  ['a number of nobody', ['export', '--format', 'syslog', '--enterprise', '0'], undefined],
])('an export to %s is refused before the daemon is asked', async (_what, args, terminal) => {
  await using daemon = await daemonWithRun();
  const { code } = await said(daemon, args, terminal === undefined ? {} : { screen: terminal });
  expect(code).toBe(1);
  expect(daemon.namesAsked()).not.toContain('auditExport');
});

test.each([
  ['is cut in a line', whole.slice(0, -200)],
  ['lacks its trailer', `${whole.split('\n').slice(0, -2).join('\n')}\n`],
  ['lacks its manifest', whole.split('\n').slice(1).join('\n')],
  ['holds another line', whole.replace('"seq":2', '"seq":3')],
  ['lacks a line', whole.replace('{"seq":2}\n', '')],
  ['counts wrong', exported(lines, { records: 7 })],
  ['goes on after its end', `${whole}{"seq":3}\n`],
  ['is empty', ''],
])('an export that %s ends with 4 and leaves no file', async (_what, bytes) => {
  await using daemon = await daemonWithRun();
  daemon.answer('auditExport', { bytes });
  const { code, files, err } = await said(daemon, ['export', '-o', 'log.jsonl']);
  expect(code).toBe(4);
  expect(files).toEqual([]);
  expect(err).toContain('did not arrive as it was sent');
});

test('an export is written as it came, to a file or to a program', async () => {
  await using daemon = await daemonWithRun();
  daemon.answer('auditExport', { bytes: whole });
  const toFile = await said(daemon, ['export', '--run', '@last', '--from', '3', '-o', 'log.jsonl']);
  expect(toFile).toMatchObject({ code: 0, files: ['log.jsonl'], text: whole });
  expect(daemon.asked.find(({ name }) => name === 'auditExport')?.query).toEqual({
    run: '@last',
    format: 'jsonl',
    from: '3',
  });
  expect(await said(daemon, ['export'])).toMatchObject({ code: 0, out: whole, files: [] });
});

test('a format that cannot be verified says so', async () => {
  await using daemon = await daemonWithRun();
  daemon.answer('auditExport', { bytes: 'seq\r\n' });
  const ran = await said(daemon, ['export', '--format', 'csv', '-o', 'log.csv']);
  expect(ran).toMatchObject({ code: 0, text: 'seq\r\n' });
  expect(ran.err).toContain('not verifiable');
});

test('however an export is cut into pieces, it is read the same', async () => {
  const bytes = Buffer.from(whole);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(bytes.length)), async (cuts) => {
      const at = [0, ...cuts.toSorted((a, b) => a - b), bytes.length];
      const pieces = at.slice(1).map((end, i) => bytes.subarray(at[i], end));
      const stream = async function* () {
        yield* pieces;
      };
      const found = await Array.fromAsync(checkedExport(stream()));
      expect(Buffer.concat(found).equals(bytes)).toBe(true);
    }),
  );
});

test('forwarders are told with what waits, and nothing in them steers the terminal', async () => {
  await using daemon = await daemonWithRun();
  const error = 'refused \u001b[31m\u202e';
  const one = { name: 'siem', to: 'https://siem.example/?…', format: 'ocsf', sent: 3 };
  const where = { state: 'stalled', next_seq: 7, lag: 12, lag_ms: 90_000, failing_ms: 1 };
  daemon.answer('auditForwarders', { json: { items: [{ ...one, ...where, error }] } });
  const { code, out } = await said(daemon, ['forwarders']);
  expect(code).toBe(0);
  expect(out).toMatch(/siem\s+stalled\s+12\s+1m30s\s+#7\s+ocsf/);
  expect(out).not.toMatch(/\p{Cc}(?<!\n)|\u202e/u);
});
