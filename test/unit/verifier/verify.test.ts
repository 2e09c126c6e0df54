import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { appendFile, copyFile, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { verifyLog } from '#verifier/verify.ts';
import { closed, noise, reopen, skipped, tempDir, testLog } from '../audit/fixture.ts';

const segment = '0000000000000000.jsonl';

/** A log of four records, closed; its lines can be edited and written back. */
async function sample() {
  const it = await testLog();
  await it.log.appendAll([skipped('r-a'), noise('two'), closed('r-a')]);
  await it.log.close();
  const path = join(it.dir, 'segments', segment);
  const lines = (await readFile(path, 'utf8')).trimEnd().split('\n');
  const write = (changed: readonly string[]) =>
    writeFile(path, changed.map((l) => `${l}\n`).join(''));
  return { ...it, path, lines, write };
}

function leaf(line: string): string {
  return createHash('sha256').update(`\0${line}`).digest('hex');
}

/** What somebody with write access would do: change records and chain everything anew. */
function rechain(lines: readonly string[]): string[] {
  let prev = '0'.repeat(64);
  const tips = new Map<string, string>();
  return lines.map((line) => {
    const record = { ...JSON.parse(line), prev };
    if (record.run !== undefined) record.rprev = tips.get(record.run) ?? '0'.repeat(64);
    const changed = JSON.stringify(record);
    prev = leaf(changed);
    if (record.run !== undefined) tips.set(record.run, prev);
    return changed;
  });
}

test('an intact log verifies, and the answer says how far that reaches', async () => {
  await using it = await sample();
  const verdict = await verifyLog(it.dir);
  expect(verdict).toMatchObject({
    exit: 0,
    verdict: 'verified',
    records: 4,
    lastGoodSeq: 3,
    origin: 'test',
    head: { size: 4, hash: leaf(it.lines[3]!) },
    findings: [],
    runs: 1,
    openRuns: 0,
  });
  expect(verdict.reach).toContain('chain only; nothing outside this host vouches for it');
});

test.each<[string, string, (lines: string[]) => string[]]>([
  ['a changed word', 'prev_mismatch', (l) => l.with(2, l[2]!.replace('two', 'TWO'))],
  ['a lost line', 'seq_gap', (l) => l.toSpliced(2, 1)],
  ['a doubled line', 'seq_duplicate', (l) => l.toSpliced(2, 0, l[1]!)],
  ['white space', 'non_canonical', (l) => l.with(1, l[1]!.replace(':', ': '))],
  ['another order of keys', 'non_canonical', (l) => l.with(1, reversed(l[1]!))],
  ['a key twice', 'non_canonical', (l) => l.with(1, l[1]!.replace('"v":1', '"v":1,"v":1'))],
  ['another escape', 'non_canonical', (l) => l.with(2, l[2]!.replace('two', '\\u0074wo'))],
  ['a lone surrogate', 'non_canonical', (l) => l.with(2, l[2]!.replace('two', '\\ud800'))],
  ['a float', 'non_canonical', (l) => l.with(1, l[1]!.replace('"v":1', '"v":1.5'))],
  ['minus zero', 'non_canonical', (l) => l.with(1, l[1]!.replace('"rseq":0', '"rseq":-0'))],
  ['null', 'non_canonical', (l) => l.with(1, l[1]!.replace('"because"', 'null'))],
  ['a carriage return', 'non_canonical', (l) => l.with(1, `${l[1]!}\r`)],
  ['no JSON', 'non_canonical', (l) => l.with(1, 'hello')],
  ['an empty line', 'non_canonical', (l) => l.toSpliced(1, 0, '')],
  ['deep nesting', 'non_canonical', (l) => l.with(1, '['.repeat(30_000) + ']'.repeat(30_000))],
  ['an array', 'schema', (l) => l.with(1, '[]')],
  ['an unknown field', 'schema', (l) => l.with(1, l[1]!.replace('"v":1', '"v":1,"w":1'))],
  ['another version', 'schema', (l) => l.with(1, l[1]!.replace('"v":1', '"v":2'))],
  ['a run without number', 'schema', (l) => l.with(1, l[1]!.replace('"rseq":0,', ''))],
  ['a line beyond the limit', 'oversize', (l) => l.with(1, 'x'.repeat(65_536))],
  ['a line beyond the buffer', 'oversize', (l) => l.with(1, 'x'.repeat(5_000_000))],
  ['a dropped record, chained anew', 'seq_gap', (l) => rechain(l.toSpliced(2, 1))],
  [
    'a record of a run dropped, all numbered and chained anew',
    'run_incomplete',
    (l) => rechain(l.toSpliced(1, 1).map((x, i) => x.replace(/"seq":\d+/, `"seq":${i}`))),
  ],
  [
    'another count of a run',
    'run_incomplete',
    (l) => rechain(l.with(3, l[3]!.replace('"records":2', '"records":3'))),
  ],
  ['a rewritten log', 'hash_mismatch', (l) => rechain(l.with(2, l[2]!.replace('two', 'TWO')))],
  [
    'a clock that jumps without a word',
    'clock_regression',
    (l) => rechain(l.with(2, l[2]!.replace(/"ts":"\d{4}/, '"ts":"2031'))),
  ],
  [
    'time running backwards',
    'clock_regression',
    (l) => rechain(l.with(2, l[2]!.replace(/"mono":\d+/, '"mono":1'))),
  ],
])('%s is tampering: %s', async (_name, reason, change) => {
  await using it = await sample();
  await it.write(change(it.lines));
  const verdict = await verifyLog(it.dir);
  expect(verdict).toMatchObject({ exit: 1, verdict: 'tampered' });
  const [finding] = verdict.findings;
  expect(finding).toMatchObject({ reason, file: segment });
  // The place is that of the line that does not hold.
  const good = (await readFile(it.path)).subarray(0, finding!.offset).toString();
  expect(good.split('\n').length - 1).toBe(verdict.records - (reason === 'hash_mismatch' ? 1 : 0));
});

function reversed(line: string): string {
  return JSON.stringify(Object.fromEntries(Object.entries(JSON.parse(line)).toReversed()));
}

test.each<[string, string, (segments: string[][]) => string[][]]>([
  [
    'a record behind the end of its segment',
    'schema',
    ([a, b]) => [[...a!, b![1]!.replace(/"seq":\d+/, `"seq":${a!.length}`)]],
  ],
  [
    'another number at the opening',
    'hash_mismatch',
    (s) => edit(s, /"first_seq":(\d+),"previous"/, '"first_seq":1$1,"previous"'),
  ],
  [
    'another number at the end',
    'schema',
    (s) => edit(s, /"first_seq":(\d+),"records"/, '"first_seq":1$1,"records"'),
  ],
  ['an end without its end', 'schema', ([a, ...b]) => [a!.slice(0, -1), renumbered(b[0]!)]],
  ['a segment cut in two', 'schema', ([a]) => [a!.slice(0, 2), a!.slice(2)]],
  ['another predecessor', 'hash_mismatch', (s) => edit(s, /"previous":"./, '"previous":"z')],
  ['another size before', 'hash_mismatch', (s) => edit(s, /"previous_size":/, '"previous_size":1')],
  ['another count of records', 'schema', (s) => edit(s, /"records":/, '"records":1')],
  ['another count of bytes', 'schema', (s) => edit(s, /"bytes":/, '"bytes":1')],
  ['no genesis', 'schema', (s) => edit(s, '"log.genesis"', '"log.generic"')],
  ['a second genesis', 'schema', (s) => edit(s, '"daemon.error"', '"log.genesis"')],
  ['an opening in the middle', 'schema', (s) => edit(s, '"daemon.error"', '"log.segment.opened"')],
])(
  '%s is tampering at the edge of a segment, even chained anew: %s',
  async (_name, reason, change) => {
    await using it = await testLog({ segmentBytes: 900 });
    for (let n = 0; n < 4; n += 1) await it.log.append(noise(`number ${n}`));
    await it.log.close();
    const folder = join(it.dir, 'segments');
    const segments: string[][] = [];
    for (const name of (await readdir(folder)).toSorted()) {
      segments.push((await readFile(join(folder, name), 'utf8')).trimEnd().split('\n'));
      await rm(join(folder, name));
    }
    expect(segments.length).toBeGreaterThan(1);
    const changed = change(segments);
    const chained = rechain(changed.flat());
    for (const lines of changed) {
      const own = chained.splice(0, lines.length);
      const name = `${String(JSON.parse(own[0]!).seq).padStart(16, '0')}.jsonl`;
      await writeFile(join(folder, name), own.map((line) => `${line}\n`).join(''));
    }
    const { exit, findings } = await verifyLog(it.dir);
    expect([exit, findings[0]?.reason]).toEqual([1, reason]);
  },
);

/** The first line that matches, changed. */
function edit(segments: string[][], what: RegExp | string, by: string): string[][] {
  let done = false;
  return segments.map((lines) =>
    lines.map((line) => {
      const changed = done ? line : line.replace(what, by);
      done ||= changed !== line;
      return changed;
    }),
  );
}

function renumbered(lines: string[]): string[] {
  return lines.map((line) => line.replace(/"seq":(\d+)/, (_, seq) => `"seq":${Number(seq) - 1}`));
}

test('bytes that are no UTF-8 are tampering', async () => {
  await using it = await sample();
  const bytes = await readFile(it.path);
  bytes[bytes.indexOf('two')] = 0xff;
  await writeFile(it.path, bytes);
  expect(await verifyLog(it.dir)).toMatchObject({
    exit: 1,
    findings: [{ reason: 'non_canonical' }],
  });
});

test('a cut tail is noticed by the notes beside the log, and by a head remembered elsewhere', async () => {
  await using it = await sample();
  const { head } = await verifyLog(it.dir);
  await it.write(it.lines.slice(0, 3));
  const cut = await verifyLog(it.dir);
  expect([cut.exit, cut.findings[0]?.reason]).toEqual([1, 'rolled_back']);
  // Whoever cuts both leaves a log that is sound in itself; only what is kept elsewhere tells.
  await writeFile(join(it.dir, 'heads.jsonl'), '');
  expect((await verifyLog(it.dir)).exit).toBe(3);
  const verdict = await verifyLog(it.dir, { expectedHead: head });
  expect(verdict).toMatchObject({ exit: 1, lastGoodSeq: 2 });
  expect(verdict.findings.map((f) => f.reason)).toContain('rolled_back');
});

test('a rewritten log does not pass for the one that was remembered', async () => {
  await using it = await sample();
  const { head } = await verifyLog(it.dir);
  await it.write(rechain(it.lines.with(2, it.lines[2]!.replace('two', 'TWO'))));
  await rm(join(it.dir, 'heads.jsonl'));
  const alone = await verifyLog(it.dir);
  expect(alone.exit).toBe(0);
  expect(alone.notes.join()).toContain('a cut tail would not be noticed');
  const remembered = await verifyLog(it.dir, { expectedHead: head });
  expect(remembered).toMatchObject({ exit: 1, findings: [{ reason: 'hash_mismatch' }] });
});

test('a log that holds a remembered head says that somebody else vouches for it', async () => {
  await using it = await sample();
  const { head } = await verifyLog(it.dir, { upTo: 2 });
  expect(head.size).toBe(2);
  const verdict = await verifyLog(it.dir, { expectedHead: head });
  expect(verdict.exit).toBe(0);
  expect(verdict.reach).toContain('vouches for the first 2');
});

test('nothing at all is not a verified log', async () => {
  await using temp = await tempDir();
  expect(await verifyLog(temp.path)).toMatchObject({ exit: 2, findings: [{ reason: 'empty' }] });
  await mkdir(join(temp.path, 'segments'));
  expect((await verifyLog(temp.path)).exit).toBe(2);
  await writeFile(join(temp.path, 'segments', segment), '');
  expect((await verifyLog(temp.path)).exit).toBe(2);
  expect(await verifyLog(join(temp.path, 'nowhere'))).toMatchObject({
    exit: 2,
    findings: [{ reason: 'unreadable', detail: 'could not be read: ENOENT' }],
  });
});

test('a torn tail and an open run are sound but incomplete', async () => {
  await using it = await testLog();
  await it.log.append(skipped('r-open'));
  await it.log.close();
  await appendFile(join(it.dir, 'segments', segment), '{"actor":');
  const verdict = await verifyLog(it.dir);
  expect(verdict).toMatchObject({ exit: 3, verdict: 'incomplete', lastGoodSeq: 1 });
  expect(verdict.findings.map((f) => f.reason)).toEqual(['torn_tail', 'run_incomplete']);
});

test('the part that is durable verifies while the log is being written', async () => {
  await using it = await testLog();
  await it.log.appendAll([noise('a'), noise('b')]);
  await appendFile(join(it.dir, 'segments', segment), '{"half":');
  expect(await verifyLog(it.dir, { upTo: it.log.size })).toMatchObject({ exit: 0, records: 3 });
  await it.log.close();
});

test('a copied segment verifies by itself under any name, and says what it leaves open', async () => {
  await using it = await testLog({ segmentBytes: 1_200 });
  for (let n = 0; n < 8; n += 1) await it.log.append(noise(`number ${n}`));
  await it.log.close();
  const { segments } = await verifyLog(it.dir);
  expect(segments).toBeGreaterThan(2);
  await using temp = await tempDir();
  const copy = join(temp.path, 'a copy');
  await copyFile(join(it.dir, 'segments', segment), copy);
  expect((await verifyLog(copy)).exit).toBe(0);
  const names = await readdir(join(it.dir, 'segments'));
  const second = names.toSorted()[1]!;
  await rm(copy);
  await copyFile(join(it.dir, 'segments', second), copy);
  const verdict = await verifyLog(copy);
  expect(verdict).toMatchObject({ exit: 3, firstSeq: Number(second.slice(0, 16)) });
  expect(verdict.findings.map((f) => f.reason)).toEqual(['partial']);
});

test('two logs written side by side and put together are a fork, not a deletion', async () => {
  await using one = await sample();
  const stale = await readFile(one.path, 'utf8');
  const log = await reopen(one.dir);
  await log.append(noise('mine'));
  await log.close();
  const mine = (await readFile(one.path, 'utf8')).slice(stale.length);
  await appendFile(one.path, mine.replace('mine', 'other'));
  expect(await verifyLog(one.dir)).toMatchObject({
    exit: 1,
    findings: [{ reason: 'seq_duplicate' }],
  });
});

test('the program answers with exit code, text and JSON, and harmless letters only', async () => {
  await using it = await sample();
  const run = (...args: string[]) =>
    new Promise<{ code: number; out: string }>((resolve) => {
      const main = join(import.meta.dirname, '../../../verifier/main.ts');
      const child = execFile(process.execPath, [main, ...args], (_error, out, err) =>
        resolve({ code: child.exitCode ?? -1, out: out + err }),
      );
    });
  const good = await run(it.dir);
  expect(good).toMatchObject({ code: 0, out: expect.stringContaining('The log is verified.') });
  const { head } = await verifyLog(it.dir);
  expect((await run(it.dir, '--expect', `${head.size + 1}:${head.hash}`)).code).toBe(1);
  expect((await run(it.dir, '--expect', 'nonsense')).code).toBe(2);
  expect((await run()).code).toBe(2);
  expect((await run(it.dir, '--nonsense')).code).toBe(2);
  await it.write(it.lines.with(3, it.lines[3]!.replace('"r-a"', '"r\\u001b[2J"')));
  const bad = await run(it.dir, '--json');
  expect(bad.code).toBe(1);
  expect(JSON.parse(bad.out)).toMatchObject({ exit: 1, findings: [{ seq: 3 }] });
  const text = (await run(it.dir)).out;
  expect(text).toContain('NOT INTACT');
  expect(text).toContain('run r\\u{1b}[2J does not continue');
  expect(text).not.toContain('\u001b');
});

test('the first hash of a log can be checked with nothing but sha256', async () => {
  await using it = await sample();
  expect(JSON.parse(it.lines[1]!).prev).toBe(leaf(it.lines[0]!));
});
