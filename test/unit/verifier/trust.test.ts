import { hash } from 'node:crypto';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { lay } from '#test/support/audit-fuzz.ts';
import { tarOf, type Files } from '#test/support/audit-mutations.ts';
import { SignedLog } from '#test/support/signed-log.ts';
import { tempDir } from '#test/support/temp-dir.ts';
import type { Envelope } from '#verifier/envelope.ts';
import { HeartbeatWatch } from '#verifier/heartbeats.ts';
import { parsePolicy } from '#verifier/policy.ts';
import { leafHash } from '#verifier/tlog/merkle.ts';
import type { Verdict } from '#verifier/verdict.ts';
import { verifyPath, type PathOptions } from '#verifier/verify-path.ts';

async function judge(files: Files, options: PathOptions = {}, target = ''): Promise<Verdict> {
  await using dir = await tempDir();
  lay(dir.path, { files });
  return await verifyPath(join(dir.path, target), options);
}

const notesOf = (notes: readonly string[]) => Buffer.from(notes.map((n) => `${n}\n`).join(''));

/** What somebody with every right on the host and without the key makes of it. */
function rewritten(log: SignedLog, change: (line: string) => string): Files {
  let prev = '0'.repeat(64);
  const tips = new Map<string, string>();
  const files = new Map([...log.files()].filter(([name]) => !name.startsWith('segments/')));
  for (const { first, count } of log.segments) {
    const lines = log.lines.slice(first, first + count).map(({ bytes, seq }) => {
      const record = { ...(JSON.parse(change(bytes.toString())) as Envelope), prev };
      if (record.run !== undefined) record.rprev = tips.get(record.run) ?? '0'.repeat(64);
      if (record.type === 'log.segment.opened') record.data = { ...record.data, previous: prev };
      const line = JSON.stringify({ ...record, seq });
      prev = leafHash(Buffer.from(line)).toString('hex');
      if (record.run !== undefined) tips.set(record.run, prev);
      return `${line}\n`;
    });
    files.set(`segments/${String(first).padStart(16, '0')}.jsonl`, Buffer.from(lines.join('')));
  }
  return files.set('heads.jsonl', Buffer.from(`{"hash":"${prev}","size":${log.size}}\n`));
}

/** The log up to here, and everything beside it as it was then. */
function cutTo(log: SignedLog, size: number): Files {
  const files: Files = new Map();
  for (const { first, count } of log.segments.filter((one) => one.first < size)) {
    const lines = log.lines.slice(first, Math.min(first + count, size));
    const text = lines.map(({ bytes }) => `${bytes.toString()}\n`).join('');
    files.set(`segments/${String(first).padStart(16, '0')}.jsonl`, Buffer.from(text));
  }
  const hashThere = log.lines[size - 1]?.leaf.toString('hex');
  files.set('heads.jsonl', Buffer.from(`{"hash":"${hashThere}","size":${size}}\n`));
  const notes = log.notes.filter((one) => one.size <= size).map(({ note }) => note);
  return files
    .set('checkpoints.log', notesOf(notes))
    .set('checkpoint', Buffer.from(notes.at(-1) ?? ''));
}

test('a key that only the log itself tells of is never enough', async () => {
  const log = new SignedLog();
  const verdict = await judge(log.files());
  expect(verdict).toMatchObject({ exit: 3, reason: 'unpinned', trusted: 0 });
  expect(verdict.reach).toContain('which nothing from outside vouches for');
});

test('a key from outside vouches for the log over every key that it led to', async () => {
  const log = new SignedLog({ rotateBefore: [1, 2] });
  for (const { signer } of log.epochs) {
    const verdict = await judge(log.files(), { keys: [signer.vkey] });
    expect(verdict).toMatchObject({ exit: 0, trusted: log.size, findings: [] });
  }
});

test('a log of the time before keys is checked by its chain, and cannot satisfy a key', async () => {
  const log = new SignedLog({ bare: true });
  expect(await judge(log.files())).toMatchObject({ exit: 0, trusted: 0 });
  const { vkey } = new SignedLog();
  expect(await judge(log.files(), { keys: [vkey] })).toMatchObject({
    exit: 1,
    reason: 'wrong_epoch_key',
  });
});

test('a log rewritten by somebody without the key is not the one that was signed', async () => {
  const log = new SignedLog();
  const files = rewritten(log, (line) => line.replace('between', 'betwixt'));
  for (const keys of [[log.vkey], []]) {
    expect(await judge(files, { keys })).toMatchObject({ exit: 1, reason: 'hash_mismatch' });
  }
  const all = [...files].filter(([name]) => !name.startsWith('checkpoint'));
  expect(await judge(new Map(all), { keys: [log.vkey] })).toMatchObject({
    exit: 3,
    reason: 'unsigned',
  });
});

test('a log made anew with keys of somebody else does not pass for it', async () => {
  const mine = new SignedLog({ seed: 'mine' });
  const verdict = await judge(mine.files(), { keys: [new SignedLog().vkey] });
  expect(verdict).toMatchObject({ exit: 1, reason: 'wrong_epoch_key', seq: 1 });
});

test('a tail that was cut with all that tells of it is caught by what was kept elsewhere', async () => {
  const log = new SignedLog();
  const size = log.notes[0]?.size ?? 0;
  const files = cutTo(log, size);
  const kept = log.notes.at(-1)?.note ?? '';
  const trust = { keys: [log.vkey] };
  expect((await judge(files, trust)).findings.map(({ reason }) => reason)).not.toContain(
    'rolled_back',
  );
  const verdict = await judge(files, { ...trust, checkpoints: [kept] });
  expect(verdict).toMatchObject({ exit: 1, reason: 'rolled_back', seq: size });
  const newest = log.epochs.at(-1)?.signer.vkey ?? '';
  expect(await judge(files, { keys: [log.vkey, newest] })).toMatchObject({
    exit: 1,
    reason: 'rolled_back',
  });
});

test('a log that is gone is nothing that could be verified', async () => {
  const { vkey, notes } = new SignedLog();
  const checkpoints = [notes[0]?.note ?? ''];
  expect((await judge(new Map(), { keys: [vkey], checkpoints })).exit).not.toBe(0);
  expect(await judge(new Map(), { keys: [vkey] })).toMatchObject({ exit: 2, reason: 'empty' });
});

test('two histories signed by one key are a fork, and both notes are the proof', async () => {
  const log = new SignedLog();
  const other = new SignedLog({ runs: 4 });
  const theirs = log.signed(
    other.notes[1]?.size ?? 0,
    hash('sha256', 'x', 'buffer'),
    log.epochs[0]!.signer,
  );
  const own = new Map(log.files());
  const verdict = await judge(own, { keys: [log.vkey], checkpoints: [theirs] });
  expect(verdict).toMatchObject({ exit: 1, reason: 'fork' });
  expect(verdict.evidence).toEqual([theirs, expect.stringContaining(log.origin)]);
  own.set('checkpoints.log', notesOf([...log.notes.map(({ note }) => note), theirs]));
  expect(await judge(own)).toMatchObject({ exit: 1, reason: 'fork' });
});

test('each key signs what is its turn to sign, and nothing else', async () => {
  const log = new SignedLog();
  const [old, now] = log.epochs.map(({ signer }) => signer);
  const notes = log.notes.map(({ note }) => note);
  const withNote = (note: string) => log.files().set('checkpoints.log', notesOf([...notes, note]));
  const late = log.signed(log.size, log.root(log.size), old!);
  expect(await judge(withNote(late), { keys: [log.vkey] })).toMatchObject({
    exit: 1,
    reason: 'wrong_epoch_key',
  });
  const early = log.signed(5, log.root(5), now!);
  expect(await judge(withNote(early), { keys: [log.vkey] })).toMatchObject({
    exit: 1,
    reason: 'wrong_epoch_key',
    seq: 4,
  });
  const forged = log.signed(5, log.root(5), log.stranger());
  expect(await judge(withNote(forged), { keys: [log.vkey] })).toMatchObject({
    exit: 1,
    reason: 'bad_signature',
    seq: 4,
  });
});

test('a next key that the key before did not sign for counts for nothing', async () => {
  const log = new SignedLog();
  const at = log.epochs[1]?.seq ?? 0;
  const notes = log.notes.filter(({ size }) => size !== at + 1).map(({ note }) => note);
  const files = log.files().set('checkpoints.log', notesOf(notes));
  expect(await judge(files, { keys: [log.vkey] })).toMatchObject({
    exit: 1,
    reason: 'wrong_epoch_key',
    seq: at,
  });
});

test('a tile that was doctored is noticed and named', async () => {
  const log = new SignedLog({ runs: 60, segmentRecords: 200, checkpointEvery: 100 });
  const files = log.files();
  const tile = Buffer.from(files.get('tile/0/000') ?? '');
  tile[40] = (tile[40] ?? 0) ^ 1;
  const verdict = await judge(files.set('tile/0/000', tile), { keys: [log.vkey] });
  expect(verdict).toMatchObject({ exit: 1, reason: 'hash_mismatch' });
  expect(verdict.findings[0]).toMatchObject({ file: 'tile/0/000', offset: 40 });
});

test('segments that were let go by record are told of, and others are missed', async () => {
  const log = new SignedLog({
    seed: 'd',
    runs: 60,
    segmentRecords: 70,
    checkpointEvery: 50,
    prune: 3,
  });
  const trust = { keys: [log.vkey] };
  const verdict = await judge(log.files(), trust);
  expect(verdict).toMatchObject({ exit: 0, firstSeq: log.first, trusted: log.size });
  expect(verdict.notes.join()).toContain(`records 0 to ${log.first - 1} were pruned`);
  const early = log.notes.filter(({ size }) => size <= log.first).map(({ note }) => note);
  const unsigned = log.files().set('checkpoints.log', notesOf(early));
  unsigned.set('checkpoint', Buffer.from(early.at(-1) ?? ''));
  expect(await judge(unsigned, trust)).toMatchObject({ exit: 1, reason: 'pruned_undeclared' });
  const [next] = [...log.files().keys()].filter((name) => name.startsWith('segments/')).toSorted();
  const more = log.files();
  more.delete(next ?? '');
  expect(await judge(more, trust)).toMatchObject({ exit: 1, reason: 'pruned_undeclared' });
  const whole = new SignedLog();
  const rest = whole.files();
  rest.delete('segments/0000000000000000.jsonl');
  expect(await judge(rest, { keys: [whole.vkey] })).toMatchObject({
    exit: 1,
    reason: 'pruned_undeclared',
    seq: 0,
  });
});

test('witnesses are counted as the policy says, and the reach names them and the time', async () => {
  const log = new SignedLog({ witnessEvery: 4 });
  const policy = (text: string) => Buffer.from(text);
  const trust = { keys: [log.vkey] };
  const verdict = await judge(log.files(), { ...trust, policy: policy(log.policy) });
  expect(verdict).toMatchObject({ exit: 0, findings: [] });
  expect(verdict.reach).toMatch(/^records 0 to \d+ witnessed by w1 at 2026-\S+, w2 at 2026-/);
  const strict = log.policy.replace('max-unanchored 64', 'max-unanchored 0');
  expect(await judge(log.files(), { ...trust, policy: policy(strict) })).toMatchObject({
    exit: 3,
    reason: 'unanchored',
  });
  const strangers = new SignedLog({ seed: 'z' }).policy;
  expect(await judge(log.files(), { ...trust, policy: policy(strangers) })).toMatchObject({
    exit: 3,
    reason: 'unanchored',
  });
  const all = log.policy.replace('group g any', 'group g all');
  expect((await judge(log.files(), { ...trust, policy: policy(all) })).exit).toBe(0);
});

test.each([
  ['', 'it names no quorum'],
  ['quorum w', 'line 1: no quorum'],
  ['witness w nonsense\nquorum w', 'line 1: no key of a witness'],
  ['group g any\nquorum g', 'line 1: no group'],
  ['max-unanchored -1\nquorum none', 'line 1: no number of records'],
  ['quorum none\nquorum none', 'line 2: no quorum'],
  ['nonsense\nquorum none', 'line 1: an unknown word'],
  ['quorum none\r', 'a control character'],
])('a policy %j is refused: %s', (text, why) => {
  expect(parsePolicy(Buffer.from(text))).toBe(why);
});

test('what was brought along and cannot be read is not passed over', async () => {
  const log = new SignedLog();
  const files = log.files();
  for (const bad of [
    { keys: ['nonsense'] },
    { checkpoints: ['nonsense'] },
    { policy: Buffer.from('x') },
  ]) {
    expect(await judge(files, bad)).toMatchObject({ exit: 2, reason: 'unreadable' });
  }
});

test('a checkpoint that was being written when the machine stopped is no tampering', async () => {
  const log = new SignedLog();
  const files = log.files();
  const notes = files.get('checkpoints.log') ?? Buffer.alloc(0);
  files.set('checkpoints.log', notes.subarray(0, -7));
  expect(await judge(files, { keys: [log.vkey] })).toMatchObject({ exit: 3, reason: 'torn_tail' });
});

test('a daemon that runs and says nothing for hours leaves a gap', () => {
  const hour = 3_600_000_000;
  const at = (seq: number, hours: number, type: string) =>
    ({ seq, type, boot: 'b', mono: hours * hour }) as Envelope;
  const gapIn = (...records: Envelope[]) => {
    const watch = new HeartbeatWatch();
    for (const record of records) watch.see(record);
    return watch.gap?.seq;
  };
  const begin = at(1, 0, 'key.created');
  expect(gapIn(begin, at(2, 1, 'log.heartbeat'), at(3, 4, 'run.submitted'))).toBe(3);
  expect(gapIn(begin, at(2, 1, 'log.heartbeat'), at(3, 2, 'log.heartbeat'))).toBeUndefined();
  expect(gapIn(begin, at(2, 1, 'daemon.stopped'), at(3, 9, 'config.loaded'))).toBeUndefined();
  expect(gapIn(begin, at(2, 9, 'daemon.started'))).toBeUndefined();
  expect(gapIn(at(0, 0, 'log.genesis'), at(1, 9, 'run.submitted'))).toBeUndefined();
});

test('an extract verifies as a folder and as a tar, and without a key it is consistent at most', async () => {
  const log = new SignedLog();
  const files = log.bundle('r-a1');
  const tar: Files = new Map([['run.tar', tarOf(files)]]);
  for (const [them, target] of [
    [files, ''],
    [tar, 'run.tar'],
  ] as const) {
    expect(await judge(them, { keys: [log.vkey] }, target)).toMatchObject({
      exit: 0,
      records: 5,
      runs: 1,
    });
    expect(await judge(them, {}, target)).toMatchObject({ exit: 3, reason: 'unpinned' });
    const keys = [log.stranger().vkey];
    expect(await judge(them, { keys }, target)).toMatchObject({
      exit: 1,
      reason: 'wrong_epoch_key',
    });
  }
  files.delete('epochs.jsonl');
  expect(await judge(files, { keys: [log.vkey] })).toMatchObject({ exit: 2, reason: 'unreadable' });
});

test('an archive of anything but plain files is no extract, and nothing of it is unpacked', async () => {
  const log = new SignedLog();
  const tar = tarOf(log.bundle('r-a1'));
  for (const kind of ['1', '2', '5', 'x', 'L']) {
    const bad = Buffer.from(tar);
    bad.write(kind, 156);
    const sum = bad
      .subarray(0, 512)
      .reduce((all, byte, at) => all + (at >= 148 && at < 156 ? 32 : byte), 0);
    bad.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    const files: Files = new Map([['run.tar', bad]]);
    expect(await judge(files, { keys: [log.vkey] }, 'run.tar')).toMatchObject({
      exit: 2,
      reason: 'unreadable',
    });
  }
});

test('a proof shows one record, to whoever has the key that signed it', async () => {
  const log = new SignedLog();
  const files: Files = new Map([['one.tlog-proof', log.proof(7)]]);
  const record = log.lines[7]!.bytes;
  const newest = log.epochs.at(-1)?.signer.vkey ?? '';
  const look = (options: PathOptions) => judge(files, options, 'one.tlog-proof');
  expect(await look({ record, keys: [newest] })).toMatchObject({
    exit: 0,
    records: 1,
    lastGoodSeq: 7,
  });
  expect(await look({ record, keys: [log.vkey] })).toMatchObject({ exit: 2, reason: 'no_key' });
  expect(await look({ record })).toMatchObject({ exit: 3, reason: 'unpinned' });
  const other = log.lines[8]!.bytes;
  expect(await look({ record: other, keys: [newest] })).toMatchObject({
    exit: 1,
    reason: 'hash_mismatch',
    seq: 7,
  });
  expect(await look({ keys: [newest] })).toMatchObject({ exit: 2, reason: 'unreadable' });
});
