import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { LogRecord } from '#contract/records.ts';
import {
  chained,
  daemonWithRun,
  leafOf,
  lineOf,
  type FakeDaemon,
} from '#test/support/fake-daemon.ts';
import { orchestra } from '#test/support/run-orchestra.ts';
import { tempDir } from '#test/support/temp-dir.ts';
import { leafHash, nodeHash } from '#verifier/tlog/merkle.ts';

const screen = { rows: 24, columns: 80 };

async function said(daemon: FakeDaemon, args: string[], more: { screen?: typeof screen } = {}) {
  await using dir = await tempDir();
  const ran = orchestra(['audit', ...args], { cwd: dir.path, host: daemon.host, ...more });
  const code = await ran.code;
  return { code, out: ran.out(), err: ran.err() };
}

const rowOf = (record: LogRecord) => ({ record, hash: leafOf(record) });
const recordsOf = (count: number) =>
  chained(Array.from({ length: count }, (_, n) => ({ type: 'task.skipped', data: { n } })));

test.each([
  ['--since', 'yesterday'],
  ['--since', '2026-02-31'],
  ['--since', '2026-02-31T00:00:00Z'],
  ['--until', '2026-11-20T10:00:00'],
  ['--since', '\u202e2h'],
  ['--type', 'container.*.*'],
  ['--type', "x' OR 1=1"],
  ['--severity', 'loud'],
  ['--outcome', 'good'],
  ['--limit', '0'],
  ['--from', '-1'],
])('list %s %s is refused before the daemon is asked', async (flag, value) => {
  await using daemon = await daemonWithRun();
  const { code, err } = await said(daemon, ['list', `${flag}=${value}`]);
  expect(code).toBe(1);
  expect(err).not.toContain('\u202e');
  expect(daemon.namesAsked()).not.toContain('auditList');
});

test.each([
  ['list', ['--since', '2026-11-20', '--until', '2026-11-21']],
  ['tail', ['--since', '2026-11-20T01:00:00+01:00', '--until', '2026-11-21t23:59:59.999z']],
])('%s asks for what the flags say, in UTC', async (command, times) => {
  await using daemon = await daemonWithRun();
  const words = ['--run', '@last', '--type', 'container.*', '--actor', '1000', '--text', '100%'];
  await said(daemon, [command, ...words, '--outcome', 'failed', '--severity', 'warn', ...times]);
  expect(daemon.asked.find(({ name }) => name === 'auditList')?.query).toMatchObject({
    run: '@last',
    type: 'container.*',
    actor: '1000',
    text: '100%',
    outcome: 'failed',
    sev: 'warn',
    since: '2026-11-20T00:00:00.000Z',
    until: '2026-11-21T23:59:59.999Z',
  });
});

test('a duration is that long ago', async () => {
  await using daemon = await daemonWithRun();
  const before = Date.now();
  await said(daemon, ['list', '--since', '2h']);
  const since = Date.parse(daemon.asked.at(-1)?.query['since'] ?? '');
  expect(since).toBeGreaterThanOrEqual(before - 7_200_000);
  expect(since).toBeLessThanOrEqual(Date.now() - 7_200_000);
});

/** Answers pages of two, by the cursor. */
function paged(daemon: FakeDaemon, records: LogRecord[], more: object = {}): void {
  daemon.answer('auditList', ({ query }) => {
    const from = query['cursor'] === undefined ? 10 : Number(query['cursor']) + 1;
    const all = records.filter(({ seq }) => seq >= from);
    const items = all.slice(0, Math.min(2, Number(query['limit']))).map(rowOf);
    const last = items.at(-1)?.record.seq;
    const next = last === undefined || items.length === all.length ? {} : { next_cursor: last };
    return { json: { items, ...next, scanned: { from, to: (last ?? from) + 1 }, ...more } };
  });
}

test('pages are put together up to the limit, and the rest is named', async () => {
  await using daemon = await daemonWithRun();
  paged(daemon, recordsOf(7));
  const { out, err } = await said(daemon, ['list', '-n', '5']);
  expect(out.match(/^#\d+/gm)).toEqual(['#10', '#11', '#12', '#13', '#14']);
  expect(err).toContain('--from 15');
  const rest = await said(daemon, ['list', '--from', '15']);
  expect(rest.out.match(/^#\d+/gm)).toEqual(['#15', '#16']);
  const json = JSON.parse((await said(daemon, ['list', '-n', '5', '--json'])).out) as object;
  expect(json).toMatchObject({ next_cursor: 14, scanned: { from: 10, to: 15 } });
});

test('what the index hides is named and ends with 4', async () => {
  await using daemon = await daemonWithRun();
  paged(daemon, recordsOf(5), { hidden: { count: 0, first: [] } });
  const sound = await said(daemon, ['list', '--from-segments']);
  expect(sound.code).toBe(0);
  expect(sound.err).toContain('records 10 to 14 were read from the segments; the index hides none');
  paged(daemon, recordsOf(5), { hidden: { count: 1, first: [11] } });
  const hiding = await said(daemon, ['list', '--from-segments']);
  expect(hiding.code).toBe(4);
  expect(hiding.err).toContain('the index hides 3 of these records');
  expect(hiding.err).toContain('#11');
  paged(daemon, recordsOf(5));
  expect((await said(daemon, ['list', '--from-segments'])).err).toContain('could not be asked');
});

test('exact lines never go to a terminal', async () => {
  await using daemon = await daemonWithRun();
  for (const command of [['list'], ['tail'], ['show', '10']]) {
    const { code, err } = await said(daemon, [...command, '--raw'], { screen });
    expect(code).toBe(1);
    expect(err).toContain('--raw is not written to a terminal');
  }
  expect(daemon.asked).toEqual([]);
});

test('exact lines are the lines that the log hashed, or nothing', async () => {
  await using daemon = await daemonWithRun();
  const [record] = chained([{ type: 'daemon.error', data: { z: '\u001b[2J\u202e', a: '\u0000' } }]);
  daemon.answer('auditList', { json: { items: [rowOf(record!)] } });
  const { code, out } = await said(daemon, ['list', '--raw']);
  expect(code).toBe(0);
  const line = out.slice(0, -1);
  expect(leafHash(Buffer.from(line)).toString('hex')).toBe(leafOf(record!));
  const other = { ...record!, data: { z: 'changed' } };
  daemon.answer('auditList', { json: { items: [{ record: other, hash: leafOf(record!) }] } });
  const changed = await said(daemon, ['list', '--raw']);
  expect(changed.code).toBe(4);
  expect(changed.out).toBe('');
});

const [shown] = recordsOf(1);
const leaf = leafHash(Buffer.from(lineOf(shown!)));
const sibling = Buffer.alloc(32, 7);
const checkpoint = (root: Buffer) =>
  `log-1\n12\n${root.toString('base64')}\n\n\u2014 log-1 ${Buffer.alloc(68, 1).toString('base64')}\n`;

test('a record is shown with the checkpoint that covers it, worked out here', async () => {
  await using daemon = await daemonWithRun();
  // Twelve leaves: the eleventh has its neighbour beside it, and eight and nothing above.
  const root = nodeHash(sibling, nodeHash(sibling, nodeHash(leaf, sibling)));
  const hashes = [sibling, sibling, sibling].map((each) => each.toString('base64'));
  const row = { ...rowOf(shown!), line: lineOf(shown!) };
  const proof = { hashes, checkpoint: checkpoint(root) };
  daemon.answer('auditShow', { json: { ...row, proof } });
  const covered = await said(daemon, ['show', '10']);
  expect(covered.code).toBe(0);
  expect(covered.out).toContain('by the checkpoint of 12 records');
  daemon.answer('auditShow', { json: row });
  expect((await said(daemon, ['show', '10'])).out).toContain('by no checkpoint yet');
  const wrong = [
    { ...row, proof: { ...proof, checkpoint: checkpoint(sibling) } },
    { ...row, proof: { ...proof, hashes: hashes.slice(1) } },
    { ...row, proof: { ...proof, checkpoint: 'nothing' } },
    { ...row, hash: 'c'.repeat(64) },
    { ...row, line: row.line.replace('"n":0', '"n":1') },
    { ...row, record: { ...shown!, type: 'task.started' } },
    { ...row, record: { ...shown!, seq: 11 } },
  ];
  for (const answer of wrong) {
    daemon.answer('auditShow', { json: answer });
    const { code, out } = await said(daemon, ['show', '10']);
    expect(code).toBe(4);
    expect(out).toContain('BROKEN');
    expect((await said(daemon, ['show', '10', '--json'])).code).toBe(4);
  }
});

test('an index that counts another number of records than the log holds ends with 4', async () => {
  await using daemon = await daemonWithRun();
  expect((await said(daemon, ['stats'])).code).toBe(0);
  daemon.answer('auditStats', { json: { ...emptyStats, size: { index: 13, log: 14 } } });
  const { code, err } = await said(daemon, ['stats']);
  expect(code).toBe(4);
  expect(err).toContain('the index counts 13 records, the log holds 14');
});

const emptyStats = {
  origin: 'log-1',
  records: 0,
  bytes: 0,
  types: [],
  outcomes: [],
  severities: [],
  actors: [],
  days: [],
  runs: { submitted: 0, closed: 0, open: 0 },
  hours: { all: 0, covered: 0, heartbeats: 0, longest_gap: 0 },
  size: { index: 0, log: 0 },
};

test('tail goes on with what the filter meets from where its first answer ended', async () => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun();
  const records = recordsOf(3);
  daemon
    .answer('auditList', {
      json: { items: records.slice(0, 1).map(rowOf), scanned: { from: 0, to: 40 } },
    })
    .answer('auditFollow', { records: hung(records.slice(1)) });
  const args = ['audit', 'tail', '-f', '--type', 'task.*'];
  const ran = orchestra(args, { cwd: dir.path, host: daemon.host });
  while (!ran.out().includes('#12')) await new Promise((resolve) => setTimeout(resolve, 5));
  ran.send('SIGINT');
  expect(await ran.code).toBe(130);
  expect(daemon.asked.at(-1)).toMatchObject({
    name: 'auditFollow',
    query: { from: '40', type: 'task.*' },
  });
  expect(ran.out().match(/^#\d+/gm)).toEqual(['#10', '#11', '#12']);
});

async function* hung(records: readonly LogRecord[]): AsyncGenerator<LogRecord> {
  yield* records;
  await new Promise(() => {});
}

/** Everything that steers a terminal, takes a line of its own or cannot be seen. */
const hostile = fc.array(
  fc.oneof(
    fc.constantFrom(
      '\u001b[31m',
      '\u001b]0;title\u0007',
      '\u001b]8;;http://x\u001b\\',
      '\u009b2J',
      '\r',
      '\n',
      '\u0000',
      '\u007f',
      '\u0085',
      '\u202e',
      '\u2066',
      '\u200b',
      '\ufeff',
      '\u00ad',
      '\u2028',
      '\u{e0041}',
      '#99  2026',
    ),
    fc.string({ unit: 'grapheme' }),
    fc.string({ unit: 'binary' }),
  ),
  { maxLength: 6 },
);
const words = hostile.map((parts) => parts.join('').toWellFormed());
/* oxlint-disable no-control-regex -- exactly these may not be there */
const steering =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200c\u200e-\u200f\u2028-\u202e\u2066-\u2069\ufeff\u{e0000}-\u{e007f}]/u;

test('nothing that a record holds steers the terminal or looks like another record', async () => {
  await using daemon = await daemonWithRun();
  await fc.assert(
    fc.asyncProperty(words, words, words, async (what, name, object) => {
      const [base] = recordsOf(1);
      const record = {
        ...base!,
        type: 'daemon.error',
        data: { what },
        obj: { task: object },
        actor: { kind: 'user', auth: 'peer', name: name.slice(0, 64).toWellFormed() },
      } as LogRecord;
      const row = rowOf(record);
      daemon
        .answer('auditList', { json: { items: [row] } })
        .answer('auditShow', { json: { ...row, line: lineOf(record) } })
        .answer('auditStats', {
          json: { ...emptyStats, origin: name, actors: [{ name: what, records: 1, bytes: 1 }] },
        });
      for (const command of [['list'], ['tail'], ['show', '10'], ['stats']]) {
        const plain = await said(daemon, command);
        expect(plain.code).toBe(0);
        expect(plain.out).not.toMatch(steering);
        if (command[0] === 'list') expect(plain.out.split('\n')).toHaveLength(2);
        const json = await said(daemon, [...command, '--json']);
        expect(json.out).not.toMatch(steering);
        expect(json.out.split('\n')).toHaveLength(2);
      }
      const { items } = JSON.parse((await said(daemon, ['list', '--json'])).out) as {
        items: unknown[];
      };
      expect(items).toEqual([row]);
    }),
    { numRuns: 25 },
  );
});
