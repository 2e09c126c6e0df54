import { hash } from 'node:crypto';
import { appendFile, chmod, cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { RecordOf } from '#contract/records.ts';
import type { Envelope } from '#verifier/envelope.ts';
import { MissingFront } from '#verifier/pruned.ts';
import { segmentName } from '#verifier/segments.ts';
import { includes, leafHash } from '#verifier/tlog/merkle.ts';
import { verifyLog } from '#verifier/verify.ts';
import { all, closed, noise, reopen, skipped } from '../fixture.ts';
import { admin, dayMs, TestLog } from './harness.ts';

type Pruned = RecordOf<'log.pruned'>;

async function pruned(it: TestLog): Promise<Pruned[]> {
  const lines = await all(it.log.read({ type: 'log.pruned' }));
  return lines.map(({ record }) => record as unknown as Pruned);
}

/** Old records, then young ones: there is something to let go. */
async function old(): Promise<TestLog> {
  const it = await TestLog.open();
  await it.days(30);
  it.clock.pass(500 * dayMs);
  await it.days(5);
  return it;
}

const prefix = async (it: TestLog) => {
  const [first] = await it.segments();
  return first;
};

test('records that are young stay, however many there are', async () => {
  await using it = await TestLog.open();
  await it.days(30);
  const before = await it.segments();
  const answer = await it.pruner.prune({ dryRun: false }, admin);
  expect(answer).toMatchObject({ segments: 0, from: 0, to: 0, stop: { why: 'young', seq: 0 } });
  expect(await it.segments()).toEqual(before);
  expect(await pruned(it)).toEqual([]);
});

test('nobody who calls the daemon can have less kept than its settings say', async () => {
  await using it = await old();
  const asked = it.pruner.prune({ dryRun: false, keepDays: 399 }, admin);
  await expect(asked).rejects.toMatchObject({ code: 'request.invalid' });
  expect(await it.pruner.prune({ dryRun: true, keepDays: 600 }, admin)).toMatchObject({
    segments: 0,
    stop: { why: 'young' },
  });
});

test('nothing goes without a signed checkpoint over the record that lets it go', async () => {
  await using it = await old();
  const before = await it.segments();
  it.checkpoints.isAway = true;
  await expect(it.pruner.prune({ dryRun: false }, admin)).rejects.toThrow('the signer is away');
  expect(await it.segments()).toEqual(before);
  it.checkpoints.isAway = false;
  // The first signature is about what is there; the second, over the record, does not come.
  const sign = it.checkpoints.sign.bind(it.checkpoints);
  it.checkpoints.sign = (size) =>
    size === undefined ? sign() : Promise.reject(new Error('the signer is away'));
  await expect(it.pruner.prune({ dryRun: false }, admin)).rejects.toThrow('the signer is away');
  expect(await it.segments()).toEqual(expect.arrayContaining(before));
  const [record] = await pruned(it);
  // On record all the same: from now on nobody reads it, and it goes once it is signed.
  expect(it.log.first).toBe(record!.data.to_seq);
  it.checkpoints.sign = sign;
  await it.restart();
  expect(await prefix(it)).toBe(0);
  expect(await it.pruner.resume()).toBeGreaterThan(0);
  expect(await prefix(it)).toBe(record!.data.to_seq);
  expect(it.checkpoints.signed.at(-1)).toBeGreaterThan(record!.seq);
});

test('a hold keeps what it is about, and what comes behind it', async () => {
  await using it = await old();
  await it.pruner.setHold({ name: 'case-1', reason: 'litigation' }, admin);
  expect(await it.pruner.prune({ dryRun: false }, admin)).toMatchObject({
    segments: 0,
    stop: { why: 'hold', seq: 0, detail: 'hold case-1: litigation' },
  });
  await it.pruner.clearHold({ name: 'case-1', reason: 'settled' }, admin);
  const since = new Date(Date.UTC(2026, 0, 20)).toISOString();
  await it.pruner.setHold({ name: 'case-2', reason: 'audit', since }, admin);
  const answer = await it.pruner.prune({ dryRun: false }, admin);
  expect(answer.segments).toBeGreaterThan(0);
  expect(answer.stop).toMatchObject({ why: 'hold' });
  // Held still, where the record of it is all that says so: after a restart, and pruned itself.
  for await (const { record } of it.log.read()) {
    expect(Date.parse(record.ts)).toBeLessThan(Date.parse(since));
    break;
  }
  await it.restart();
  expect(it.pruner.holds.map(({ name }) => name)).toEqual(['case-2']);
  expect(await it.pruner.prune({ dryRun: false }, admin)).toMatchObject({ segments: 0 });
});

test('a hold that was set long ago is in force when its own record is gone', async () => {
  await using it = await TestLog.open();
  const until = new Date(Date.UTC(2020, 0, 1)).toISOString();
  await it.pruner.setHold({ name: 'long-ago', reason: 'of another time', until }, admin);
  await it.days(30);
  it.clock.pass(500 * dayMs);
  await it.days(5);
  await it.pruner.prune({ dryRun: false }, admin);
  const held = it.pruner.holds;
  expect(held).toHaveLength(1);
  await it.restart();
  expect(await prefix(it)).toBeGreaterThan(0);
  expect(it.pruner.holds).toEqual(held);
  await it.pruner.clearHold({ name: 'long-ago', reason: 'over' }, admin);
  await it.restart();
  expect(it.pruner.holds).toEqual([]);
});

test('who sets and clears a hold, and why, is on record', async () => {
  await using it = await TestLog.open();
  await it.pruner.setHold({ name: 'a', reason: 'x' }, admin);
  await it.pruner.clearHold({ name: 'a', reason: 'y' }, admin);
  const holds = it.folded.filter(({ type }) => type.startsWith('log.hold.'));
  expect(holds).toMatchObject([
    { type: 'log.hold.set', actor: admin, sev: 'notice', data: { hold: 'a', reason: 'x' } },
    { type: 'log.hold.cleared', actor: admin, sev: 'warn', data: { hold: 'a', reason: 'y' } },
  ]);
});

test('two holds of a name, one that ends before it begins, and one that is not there are refused', async () => {
  await using it = await TestLog.open();
  await it.pruner.setHold({ name: 'a', reason: 'x' }, admin);
  await expect(it.pruner.setHold({ name: 'a', reason: 'y' }, admin)).rejects.toThrow('already');
  const [since, until] = ['2026-01-02T00:00:00.000Z', '2026-01-01T00:00:00.000Z'];
  const upside = it.pruner.setHold({ name: 'b', reason: 'x', since, until }, admin);
  await expect(upside).rejects.toThrow('before it begins');
  await expect(it.pruner.clearHold({ name: 'c', reason: 'x' }, admin)).rejects.toThrow('no hold');
});

test('what is needed stays, and what needs it is named', async () => {
  await using it = await old();
  it.needs = [
    { from: 1_000_000, what: 'somebody far behind' },
    { from: 100, what: 'run r-a is kept' },
  ];
  const answer = await it.pruner.prune({ dryRun: false }, admin);
  expect(answer.stop).toEqual({ why: 'needed', seq: 100, detail: 'run r-a is kept' });
  expect(answer.to).toBeGreaterThan(0);
  expect(answer.to).toBeLessThanOrEqual(100);
  expect(it.log.first).toBe(answer.to);
});

test('the newest segment, and what no full tile of a signed tree holds, stay', async () => {
  await using it = await TestLog.open();
  await it.days(2);
  it.clock.pass(500 * dayMs);
  await it.log.append(noise('now'));
  const answer = await it.pruner.prune({ dryRun: false }, admin);
  expect(answer).toMatchObject({ segments: 0, stop: { why: 'unsigned' } });
});

test('a clock that is set forward makes nothing old', async () => {
  await using it = await TestLog.open();
  await it.days(30);
  it.clock.wall += 500 * dayMs;
  expect(await it.pruner.prune({ dryRun: false }, admin)).toMatchObject({ segments: 0 });
});

test('a dry run says what would go and writes nothing', async () => {
  await using it = await old();
  const [size, segments] = [it.log.size, await it.segments()];
  const answer = await it.pruner.prune({ dryRun: true }, admin);
  expect(it.log.size).toBe(size);
  expect(await it.segments()).toEqual(segments);
  const done = await it.pruner.prune({ dryRun: false }, admin);
  expect({ ...answer, dryRun: false }).toEqual(done);
  expect(done.segments).toBe(segments.indexOf(done.to));
});

test('the record names each file that went, as it was', async () => {
  await using it = await old();
  const segments = await it.segments();
  const files = new Map<number, Buffer>();
  for (const first of segments) {
    files.set(first, await readFile(join(it.dir, 'segments', segmentName(first))));
  }
  const { to } = await it.pruner.prune({ dryRun: false, keepDays: 450 }, admin);
  const records = await pruned(it);
  const named = records.flatMap(({ data }) => data.segments);
  expect(named.map(({ first_seq }) => first_seq)).toEqual(segments.filter((first) => first < to));
  for (const { first_seq, bytes, sha256, last } of named) {
    const file = files.get(first_seq)!;
    expect(hash('sha256', file, 'hex')).toBe(sha256);
    expect(file.length).toBe(bytes);
    const line = file.subarray(file.lastIndexOf(10, file.length - 2) + 1, -1);
    expect(leafHash(line).toString('hex')).toBe(last);
  }
  expect(records[0]!.data).toMatchObject({ from_seq: 0, keep_days: 450, origin: 'test' });
  expect(records[0]!.actor).toEqual(admin);
});

test('the log goes on, verifies, and says what went', async () => {
  await using it = await old();
  const { to } = await it.pruner.prune({ dryRun: false }, admin);
  await it.restart();
  expect(it.log.first).toBe(to);
  expect(it.log.origin).toBe('test');
  await it.days(3);
  const [first] = await all(it.log.read());
  expect(first!.record.seq).toBe(to);
  await it.log.close();
  const verdict = await verifyLog(it.dir);
  expect(verdict).toMatchObject({ exit: 0, firstSeq: to, origin: 'test' });
  expect(verdict.notes.join()).toContain(`records 0 to ${to - 1} were pruned`);
});

test('a daemon that ends between record and removal, or within it, goes on where it was', async () => {
  await using it = await old();
  const kept = join(it.dir, '..', 'kept');
  await cp(join(it.dir, 'segments'), kept, { recursive: true });
  const { to } = await it.pruner.prune({ dryRun: false }, admin);
  const gone = (await pruned(it)).at(-1)!.data.segments.map(({ first_seq }) => first_seq);
  expect(gone.length).toBeGreaterThan(3);
  for (let left = 1; left <= gone.length; left += 1) {
    await it.log.close();
    for (const first of gone.slice(gone.length - left)) {
      await cp(join(kept, segmentName(first)), join(it.dir, 'segments', segmentName(first)));
    }
    expect((await verifyLog(it.dir)).exit).toBe(0);
    await it.reopen();
    expect(it.log.first).toBe(to);
    expect((await all(it.log.read()))[0]!.record.seq).toBe(to);
    expect(await it.pruner.resume()).toBe(left);
    expect(await prefix(it)).toBe(to);
  }
  expect(await it.pruner.resume()).toBe(0);
});

test('a front that is gone without a record, or beyond it, is refused by daemon and verifier', async () => {
  await using it = await old();
  const { to } = await it.pruner.prune({ dryRun: false }, admin);
  await it.log.close();
  const [first] = await it.segments();
  expect(first).toBe(to);
  await rm(join(it.dir, 'segments', segmentName(to)));
  const verdict = await verifyLog(it.dir);
  expect(verdict.exit).toBe(1);
  expect(verdict.findings[0]).toMatchObject({ reason: 'pruned_undeclared' });
  await expect(reopen(it.dir)).rejects.toMatchObject({ code: 'audit.broken' });
  await it.reopen().catch(() => undefined);
});

test('a run that spans the cut is declared, and one that does not say so is refused', async () => {
  await using it = await TestLog.open();
  await it.log.append(skipped('r-0000000001'));
  await it.log.append(closed('r-0000000001'));
  await it.days(30);
  it.clock.pass(500 * dayMs);
  await it.log.append(skipped('r-0000000001', 'after its end'));
  await it.days(5);
  await it.pruner.prune({ dryRun: false }, admin);
  const [record] = await pruned(it);
  expect(record!.data.spans).toMatchObject([{ run: 'r-0000000001', records: 2, closed: true }]);
  await it.restart();
  expect(it.log.runState('r-0000000001')).toMatchObject({ records: 3 });
  expect(await it.log.append(skipped('r-0000000001'))).toMatchObject({ rseq: 3 });
  await it.log.close();
  expect((await verifyLog(it.dir)).exit).toBe(3);
  const front = (spans: Pruned['data']['spans']) => {
    const missing = new MissingFront();
    for (const each of it.folded) {
      if (each.seq < it.log.first) continue;
      const data = each.type === 'log.pruned' ? { ...each.data, spans } : each.data;
      missing.see({ ...each, data } as unknown as Envelope);
    }
    return missing.judge()?.reason;
  };
  const { spans } = record!.data;
  await it.reopen();
  expect(front(spans)).toBeUndefined();
  expect(front([])).toBe('run_incomplete');
  expect(front(spans.map((span) => ({ ...span, records: 1 })))).toBe('run_incomplete');
  expect(front(spans.map((span) => ({ ...span, last: '0'.repeat(64) })))).toBe('run_incomplete');
});

test('what is said of a run after all of it went begins anew', async () => {
  await using it = await TestLog.open();
  await it.log.append(skipped('r-0000000001'));
  await it.log.append(closed('r-0000000001'));
  await it.days(30);
  it.clock.pass(500 * dayMs);
  await it.days(5);
  await it.pruner.prune({ dryRun: false }, admin);
  expect(it.log.runTip('r-0000000001')).toBeUndefined();
  expect(await it.log.append(skipped('r-0000000001'))).toMatchObject({ rseq: 0 });
  await it.restart();
  expect(await it.log.append(skipped('r-0000000001'))).toMatchObject({ rseq: 1 });
});

test('what is said of an old run while it is being let go breaks nothing', async () => {
  for (let wait = 0; wait < 12; wait += 1) {
    await using it = await TestLog.open();
    for (const run of ['r-0000000001', 'r-0000000002']) {
      await it.log.appendAll([skipped(run), closed(run)]);
    }
    await it.days(14);
    it.clock.pass(500 * dayMs);
    await it.days(2);
    const pruning = it.pruner.prune({ dryRun: false }, admin);
    const said = Promise.all(
      Array.from({ length: 12 }, async (_, n) => {
        for (let turn = 0; turn < wait * 3 + n; turn += 1) await new Promise(setImmediate);
        await it.log.append(skipped(`r-000000000${1 + (n % 2)}`, 'late'));
      }),
    );
    expect((await pruning).segments).toBeGreaterThan(3);
    await said;
    await it.restart();
    await it.log.append(skipped('r-0000000001', 'later'));
    await it.log.close();
    const verdict = await verifyLog(it.dir);
    expect(verdict.findings.filter(({ reason }) => !soft.has(reason))).toEqual([]);
    expect(verdict.exit).not.toBe(1);
  }
});

/** Of a test's log, which nobody signs, and whose clock leaps. */
const soft = new Set(['run_incomplete', 'heartbeat_gap', 'unpinned', 'unsigned']);

test('records that stay in force are carried over with a proof, once and again', async () => {
  await using it = await TestLog.open();
  const genesis = (await all(it.log.read({ to: 1 })))[0]!;
  for (let round = 0; round < 2; round += 1) {
    await it.days(30);
    it.clock.pass(500 * dayMs);
    await it.days(5);
    await it.pruner.prune({ dryRun: false }, admin);
    await it.restart();
    const lines = await all(it.log.read({ type: 'log.carried' }));
    const carried = lines.map(({ record }) => record as unknown as RecordOf<'log.carried'>);
    const last = carried.filter(({ data }) => data.of === 0).at(-1)!;
    expect(last.data).toMatchObject({ line: genesis.line, sha256: genesis.hash });
    expect(leafHash(Buffer.from(last.data.line)).toString('hex')).toBe(last.data.sha256);
    const root = Buffer.from(last.data.root, 'base64');
    const proof = last.data.proof.map((one) => Buffer.from(one, 'base64'));
    const leaf = Buffer.from(last.data.sha256, 'hex');
    expect(includes({ index: 0, size: last.data.tree_size, leaf, root, proof })).toBe(true);
    expect(it.folded.filter(({ type }) => type === 'log.genesis')).toHaveLength(1);
  }
});

test('a seam excuses nothing behind it: there every record is held to all rules', async () => {
  await using it = await old();
  const { to } = await it.pruner.prune({ dryRun: false }, admin);
  await it.log.close();
  const path = join(it.dir, 'segments', segmentName(to));
  const text = await readFile(path, 'utf8');
  await chmod(path, 0o600);
  for (const [from, into] of [
    ['"v":1}', '"v":0}'],
    ['"v":1}', '"v":2}'],
    ['"v":1}', '"v":1,"w":1}'],
    [`"previous_size":${to}`, `"previous_size":${to - 1}`],
    ['"prev":"', '"prev":"0'],
  ] as const) {
    await writeFile(path, text.replace(from, into));
    expect((await verifyLog(it.dir)).exit).toBe(1);
    await expect(reopen(it.dir)).rejects.toMatchObject({ code: 'audit.broken' });
  }
  await writeFile(path, text);
  await mkdir(join(it.dir, 'segments'), { recursive: true });
  await appendFile(join(it.dir, 'segments', segmentName(0)), text);
  expect((await verifyLog(it.dir)).exit).toBe(1);
  await rm(join(it.dir, 'segments', segmentName(0)));
  expect((await verifyLog(it.dir)).exit).toBe(0);
  await it.reopen();
});
