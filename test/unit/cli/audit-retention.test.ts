import { hash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { pack } from 'tar-stream';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { LogPruneAnswer } from '#contract/retention.ts';
import { recordTypes } from '#contract/records.ts';
import { FakeDaemon } from '#test/support/fake-daemon.ts';
import { orchestra } from '#test/support/run-orchestra.ts';

let cwd: string;
beforeEach(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'orchestra-cli-'));
});
afterEach(() => rm(cwd, { recursive: true, force: true }));

const gone: Omit<LogPruneAnswer, 'dryRun'> = {
  keepDays: 400,
  from: 0,
  to: 512,
  segments: 2,
  bytes: 4096,
  stop: { why: 'hold', seq: 512, detail: 'hold case-1: \u001b[31mx' },
};
const hold = { name: 'case-1', reason: 'why', at: '2026-01-01T00:00:00.000Z', by: 'ada' };

async function ran(args: readonly string[], files?: Record<string, string>, answer = gone) {
  await using daemon = await FakeDaemon.open();
  daemon.answer('auditPrune', ({ body }) => ({
    json: { dryRun: (body as { dryRun: boolean }).dryRun, ...answer },
  }));
  for (const name of ['auditHolds', 'auditHoldSet', 'auditHoldClear'] as const) {
    daemon.answer(name, () => ({ json: { items: [hold] } }));
  }
  const tar = pack();
  for (const [name, text] of Object.entries(files ?? {})) tar.entry({ name }, text);
  tar.finalize();
  const bytes = await buffer(tar);
  daemon.answer('auditEvidence', { bytes });
  const run = orchestra(['audit', ...args], { cwd, host: daemon.host });
  const code = await run.code;
  return { code, out: run.out(), err: run.err(), asked: daemon.asked.map(({ body }) => body) };
}

const sha256 = (text: string) => hash('sha256', text, 'hex');
const manifest = (files: Record<string, string>, more: object = {}) => ({
  ...files,
  'manifest.json': JSON.stringify({
    records: 7,
    complete: true,
    tree_size: 9,
    files: Object.fromEntries(Object.entries(files).map(([name, text]) => [name, sha256(text)])),
    ...more,
  }),
});

test('records never go without a yes: a script has to say it', async () => {
  const { code, err, asked } = await ran(['prune']);
  expect(code).toBe(1);
  expect(err).toContain('--yes');
  expect(asked).toEqual([{ dryRun: true }]);
  expect((await ran(['prune', '--yes', '--keep', '500d'])).asked).toEqual([
    { dryRun: false, keepDays: 500 },
  ]);
});

test('what would go is told with what keeps the rest, harmlessly', async () => {
  const { code, out, asked } = await ran(['prune', '--dry-run']);
  expect([code, asked]).toEqual([0, [{ dryRun: true }]]);
  expect(out).toContain('records 0 to 511 would go: 2 segments, 4 KiB');
  expect(out).toContain('record 512 stays: hold case-1');
  expect(out).not.toContain('\u001b[31m');
});

test('a hold is set and cleared with a reason, or not at all', async () => {
  for (const args of [
    ['hold', 'set', 'case-1'],
    ['hold', 'clear', 'case-1'],
    ['hold', 'set', 'case-1', '--reason', 'x', '--since', 'some day'],
  ]) {
    const { code, asked } = await ran(args);
    expect([code, asked]).toEqual([1, []]);
  }
  const until = ['--until', '2026-02-01'];
  const { out, asked } = await ran(['hold', 'set', 'case-1', '--reason', 'why', ...until]);
  expect(asked).toEqual([{ name: 'case-1', reason: 'why', until: '2026-02-01T23:59:59.999Z' }]);
  expect(out).toContain('the whole log');
  expect((await ran(['hold', 'list', '--json'])).out).toContain('"name":"case-1"');
});

test.each([
  ['has a file that is another one', { ...manifest({ 'a.csv': 'x' }), 'a.csv': 'y' }, 'a.csv'],
  ['has a file that nothing names', { ...manifest({ 'a.csv': 'x' }), 'b.csv': 'y' }, 'b.csv'],
  ['lacks a file', manifest({}, { files: { 'a.csv': sha256('x') } }), 'a.csv'],
  ['has no manifest', { 'a.csv': 'x' }, 'no manifest'],
  ['names a place outside', { '../a.csv': 'x' }, 'a.csv'],
])('evidence that %s is not kept', async (_name, files, said) => {
  const { code, err } = await ran(['evidence', '--from', '2026-01-01', '-o', 'ev'], files);
  expect(code).toBe(4);
  expect(err).toContain(said);
  expect(await readdir(cwd)).toEqual([]);
});

test('evidence is a folder or a tar, never over something that is there', async () => {
  const files = manifest({ 'a.csv': 'x' });
  const from = ['evidence', '--from', '2026-01-01'];
  expect((await ran([...from, '-o', 'ev'], files)).code).toBe(0);
  expect((await readdir(join(cwd, 'ev'))).toSorted()).toEqual(['a.csv', 'manifest.json']);
  expect((await ran([...from, '-o', 'ev.tar'], files)).out).toContain('7 records');
  await writeFile(join(cwd, 'mine'), 'mine');
  for (const target of ['ev', 'ev.tar', 'mine']) {
    expect((await ran([...from, '-o', target], files)).code).toBe(1);
  }
  expect(await readFile(join(cwd, 'mine'), 'utf8')).toBe('mine');
  const cut = { complete: false, pruned: { until: '2026-01-05', by_record: 77 } };
  const partly = await ran([...from, '-o', 'partly'], manifest({}, cut));
  expect(partly.out).toContain('up to 2026-01-05 was pruned (record 77)');
});

test('coverage has a line for every type of record', async () => {
  const { out, code } = await ran(['coverage']);
  expect(code).toBe(0);
  for (const type of Object.keys(recordTypes)) expect(out).toContain(type);
});
