import { readdir, readFile, writeFile, mkdir } from 'node:fs/promises';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CheckpointAnswer } from '#contract/checkpoint.ts';
import { exactLine } from '#cli/audit/record-line.ts';
import { judge, type Seen } from '#cli/memory/judge.ts';
import { CheckpointStore } from '#cli/memory/store.ts';
import { signNote, vkeyOf } from '#signer/sign-note.ts';
import { daemonWithRun, recordsOf, runId, type FakeDaemon } from '#test/support/fake-daemon.ts';
import { KnownLog, newSecret } from '#test/support/known-log.ts';
import { orchestra } from '#test/support/run-orchestra.ts';
import { tempDir } from '#test/support/temp-dir.ts';
import { checkpointText, spellProof, spellTlogProof } from '#verifier/tlog/checkpoint.ts';
import { leafHash } from '#verifier/tlog/merkle.ts';
import { spellNote } from '#verifier/tlog/note.ts';

async function logOf(records: number, origin?: string): Promise<KnownLog> {
  const log = new KnownLog(origin);
  await log.grow(records);
  return log;
}

/** As the daemon answers for a log. */
async function answerOf(
  { checkpoints, size: all }: KnownLog,
  { from, size = all }: { from?: number | undefined; size?: number } = {},
): Promise<CheckpointAnswer> {
  const proof =
    from === undefined || from > size ? [] : await checkpoints.tree.consistency(from, size);
  return {
    checkpoint: spellNote(checkpoints.at(size).note),
    ...(from === undefined || from > size
      ? {}
      : { consistency: { from, proof: from === size ? [] : spellProof(proof) } }),
    keys: checkpoints.keys.map(({ epoch, vkey, seq }) => ({ epoch, vkey, seq })),
    epochs: [],
  };
}

const seenAt = ({ checkpoints }: KnownLog, size: number): Seen => ({
  note: spellNote(checkpoints.at(size).note),
  epoch: 0,
  vkey: checkpoints.keys[0]?.vkey ?? '',
});

/** Another log under the same name and keys: what somebody with the keys could make of it. */
async function forkOf(log: KnownLog, records: number): Promise<KnownLog> {
  const fork = new KnownLog(log.origin);
  fork.now += 1;
  await fork.grow(records);
  return Object.assign(fork, { checkpoints: log.checkpoints.forkOf(fork) });
}

describe('a log is not believed that', () => {
  test('has fewer records than before', async () => {
    const log = await logOf(9);
    const answer = await answerOf(log, { size: 7 });
    expect(judge(seenAt(log, 8), answer)).toMatchObject({ reason: 'rolled_back' });
  });

  test('has as many records and other ones', async () => {
    const log = await logOf(9);
    const answer = await answerOf(await forkOf(log, 9), { from: 9 });
    expect(judge(seenAt(log, 9), answer)).toMatchObject({ reason: 'forked' });
  });

  test('has grown from other records', async () => {
    const log = await logOf(9);
    const answer = await answerOf(await forkOf(log, 20), { from: 9 });
    expect(judge(seenAt(log, 9), answer)).toMatchObject({ reason: 'forked' });
  });

  test('shows no proof, or one from elsewhere', async () => {
    const log = await logOf(20);
    const { consistency, ...without } = await answerOf(log, { from: 8 });
    expect(consistency).toBeDefined();
    expect(judge(seenAt(log, 9), without)).toMatchObject({ reason: 'forked' });
    const other = await answerOf(log, { from: 8 });
    expect(judge(seenAt(log, 9), other)).toMatchObject({ reason: 'forked' });
  });

  test('signs with a key that nobody named, or not at all', async () => {
    const log = await logOf(9);
    const stranger = await logOf(9);
    const answer = await answerOf(log, { from: 9 });
    const stolen = { ...answer, checkpoint: (await answerOf(stranger)).checkpoint };
    expect(judge(seenAt(log, 9), stolen)).toMatchObject({ reason: 'other_key' });
    expect(judge(undefined, stolen)).toMatchObject({ reason: 'other_key' });
    expect(judge(undefined, { ...answer, keys: [] })).toMatchObject({ reason: 'other_key' });
    expect(judge(undefined, { ...answer, checkpoint: 'x' })).toMatchObject({ reason: 'unsound' });
  });
});

describe('a key that changed', () => {
  /** A log of ten records whose last names the next key, and ten more. */
  async function rotated(change: { previous?: string; epoch?: number } = {}) {
    const log = await logOf(9);
    const [old = ''] = log.checkpoints.keys.map(({ vkey }) => vkey);
    const next = { name: log.origin, secret: newSecret() };
    const data = { epoch: 1, vkey: vkeyOf(next), previous: old, ...change };
    // Only the line in the tree counts here.
    await log.append({ type: 'workspace.cleaned', data: { what: 'x', entries: 1 } });
    const line = JSON.stringify({ data, seq: 9, type: 'key.rotated' });
    log.leaves[9] = leafHash(Buffer.from(line));
    await log.grow(10);
    const { tree } = log.checkpoints;
    const text = checkpointText({ origin: log.origin, size: 20, root: await tree.rootAt(20) });
    const answer = async (from: number): Promise<CheckpointAnswer> => ({
      checkpoint: spellNote({ text, signatures: [signNote(text, next)] }),
      consistency: { from, proof: spellProof(await tree.consistency(from, 20)) },
      keys: [
        { epoch: 0, vkey: old, seq: 0 },
        { epoch: 1, vkey: vkeyOf(next), seq: 9 },
      ],
      epochs: [
        {
          epoch: 1,
          seq: 9,
          line,
          proof: spellProof(await tree.inclusion(9, 10)),
          checkpoint: spellNote(log.checkpoints.at(10).note),
          consistency: spellProof(await tree.consistency(10, 20)),
        },
      ],
    });
    return { log, answer, vkey: vkeyOf(next) };
  }

  test('counts where the one before named it, and is the one that counts from then on', async () => {
    const { log, answer, vkey } = await rotated();
    const judged = judge(seenAt(log, 7), await answer(7));
    expect(judged).toMatchObject({ holds: true, seen: { epoch: 1, vkey } });
    expect(judge(undefined, await answer(7))).toMatchObject({ holds: true, seen: { epoch: 1 } });
  });

  test.each([
    ['its record names another one before it', { previous: 'x+00000000+AAAA' }],
    ['its record leaves an epoch out', { epoch: 2 }],
  ])('does not count where %s', async (_name, change) => {
    const { log, answer } = await rotated(change);
    expect(judge(seenAt(log, 7), await answer(7))).toMatchObject({ reason: 'other_key' });
  });

  test('does not count where any part of its proof is another', async () => {
    const { log, answer } = await rotated();
    const good = await answer(7);
    const [row] = good.epochs;
    if (row === undefined) throw new Error('no row');
    const spoiled = [
      { ...row, line: row.line.replace('"seq":9', '"seq":8') },
      { ...row, seq: 8 },
      { ...row, proof: row.proof.slice(1) },
      { ...row, consistency: [] },
      { ...row, checkpoint: good.checkpoint },
      { ...row, checkpoint: spellNote(log.checkpoints.at(9).note) },
    ];
    for (const each of [...spoiled, undefined]) {
      const epochs = each === undefined ? [] : [each];
      const judged = judge(seenAt(log, 7), { ...good, epochs });
      expect(judged).toMatchObject({ reason: 'other_key' });
    }
  });

  test('does not count where the old one was seen to sign what comes after', async () => {
    const { log, answer } = await rotated();
    expect(judge(seenAt(log, 12), await answer(12))).toMatchObject({ reason: 'other_key' });
  });
});

test('commands at the same time never put an older checkpoint in the place of a newer one', async () => {
  await using dir = await tempDir();
  const log = await logOf(40);
  const store = () => new CheckpointStore({ HOME: dir.path });
  const sizes = Array.from({ length: 40 }, (_, at) => ((at * 17) % 40) + 1);
  await Promise.all(sizes.map((size) => store().keep(seenAt(log, size))));
  expect(await store().newest(log.origin)).toEqual(seenAt(log, 40));
  await store().keep(seenAt(log, 3));
  expect(await store().newest(log.origin)).toEqual(seenAt(log, 40));
  const [folder = ''] = await readdir(path.join(dir.path, '.local/state/orchestra-cli/logs'));
  const left = await readdir(path.join(dir.path, '.local/state/orchestra-cli/logs', folder));
  expect(left).toHaveLength(1);
});

test('of two commands that see two logs at the same time the second one notices', async () => {
  await using dir = await tempDir();
  const log = await logOf(9);
  const fork = await forkOf(log, 9);
  const store = new CheckpointStore({ HOME: dir.path });
  expect(await store.keep(seenAt(log, 9))).toBeUndefined();
  expect(await store.keep(seenAt(fork, 9))).toMatchObject(seenAt(log, 9));
});

test('whatever is changed in an answer, no other log is believed, and nothing throws', async () => {
  const log = await logOf(20);
  const good = await answerOf(log, { from: 7 });
  const seen = seenAt(log, 7);
  const text = JSON.stringify(good);
  expect(judge(seen, good)).toMatchObject({ holds: true });
  const change = fc.record({
    at: fc.nat({ max: text.length - 1 }),
    put: fc.constantFrom('', 'A', '0', '1', '+', '/', '=', ' ', '\\n', 'x'),
  });
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) => {
      let changed = text;
      for (const { at, put } of changes)
        changed = changed.slice(0, at) + put + changed.slice(at + 1);
      const answer = CheckpointAnswer.safeParse(parsedOr(changed));
      if (!answer.success) return;
      const judged = judge(seen, answer.data);
      if (!judged.holds) return;
      expect(judged.checkpoint.root).toEqual(log.checkpoints.at(20).root);
      expect(judged.seen.vkey).toBe(seen.vkey);
    }),
    { numRuns: 3_000 },
  );
});

function parsedOr(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

describe('every command', () => {
  const runs = (daemon: FakeDaemon, cwd: string, ...args: string[]) =>
    orchestra(args.length === 0 ? ['runs'] : args, { cwd, host: daemon.host });
  const serve = (daemon: FakeDaemon, log: KnownLog, size?: number) =>
    daemon.answer('auditCheckpoint', async ({ query }) => ({
      json: await answerOf(log, {
        from: query['from'] === undefined ? undefined : Number(query['from']),
        ...(size === undefined ? {} : { size }),
      }),
    }));

  test('keeps what it saw, says so once, and asks from there', async () => {
    await using dir = await tempDir();
    await using daemon = await daemonWithRun();
    const log = await logOf(9);
    serve(daemon, log);
    const first = runs(daemon, dir.path);
    expect(await first.code).toBe(0);
    expect(first.err()).toContain(`first sight of the log ${log.origin}`);
    await log.grow(5);
    const second = runs(daemon, dir.path);
    expect(await second.code).toBe(0);
    expect(second.err()).toBe('');
    const asked = daemon.asked.filter(({ name }) => name === 'auditCheckpoint');
    expect(asked.map(({ query }) => query)).toEqual([{}, { from: '9', epoch: '0' }]);
  });

  test('refuses a log whose end is missing, shows both notes and keeps them to hand over', async () => {
    await using dir = await tempDir();
    await using daemon = await daemonWithRun();
    const log = await logOf(9);
    serve(daemon, log);
    await runs(daemon, dir.path).code;
    serve(daemon, log, 5);
    const ran = runs(daemon, dir.path);
    expect(await ran.code).toBe(4);
    expect(ran.err()).toContain('the log had 9 records when it was last seen, now it has 5');
    expect(ran.out()).toBe('');
    const folder = path.join(dir.path, '.state/orchestra-cli/misbehaviour');
    const [name = ''] = await readdir(folder);
    const text = await readFile(path.join(folder, name), 'utf8');
    for (const size of [9, 5]) {
      const note = spellNote(log.checkpoints.at(size).note);
      expect(text).toContain(note);
      for (const line of note.trim().split('\n')) expect(ran.err()).toContain(line);
    }
  });

  test('refuses a fork, whatever is asked of it', async () => {
    await using dir = await tempDir();
    await using daemon = await daemonWithRun();
    const log = await logOf(9);
    serve(daemon, log);
    await runs(daemon, dir.path).code;
    serve(daemon, await forkOf(log, 30));
    expect(await runs(daemon, dir.path, 'run', 'x').code).toBe(4);
    expect(daemon.namesAsked()).not.toContain('runSubmit');
  });

  test('refuses another log at the same socket until it is accepted on purpose', async () => {
    await using dir = await tempDir();
    await using daemon = await daemonWithRun();
    daemon.answer('auditHead', {
      json: { size: 3, hash: 'a'.repeat(64), origin: 'example.org/new' },
    });
    daemon.answer('auditVerify', { json: { exit_code: 0, verdict: 'verified', records: 3 } });
    serve(daemon, await logOf(9));
    await runs(daemon, dir.path).code;
    serve(daemon, await logOf(3, 'example.org/new'));
    const refused = runs(daemon, dir.path);
    expect(await refused.code).toBe(4);
    expect(refused.err()).toContain('--accept-new-log');
    expect(await runs(daemon, dir.path, 'audit', 'verify', '--accept-new-log').code).toBe(0);
    expect(await runs(daemon, dir.path).code).toBe(0);
  });

  test('that runs something leaves its receipt in the folder of the run', async () => {
    await using dir = await tempDir();
    await using daemon = await daemonWithRun();
    const log = await logOf(20);
    const closed = recordsOf('succeeded', 0).at(-1);
    if (closed === undefined) throw new Error('the run of the test never ends');
    const line = exactLine(closed);
    log.leaves[closed.seq] = leafHash(Buffer.from(line));
    serve(daemon, log);
    const proof = spellTlogProof({
      index: closed.seq,
      proof: await log.checkpoints.tree.inclusion(closed.seq, 20),
      checkpoint: spellNote(log.checkpoints.at(20).note),
    });
    daemon.answer('auditProof', { bytes: proof });
    const ran = runs(daemon, dir.path, 'run', 'x');
    expect(await ran.code).toBe(0);
    expect(ran.out()).toContain('signed at 20 records');
    const folder = path.join(dir.path, 'runs', runId);
    expect(await readFile(path.join(folder, 'receipt.tlog-proof'), 'utf8')).toBe(proof);
    expect(await readFile(path.join(folder, 'run.closed.json'), 'utf8')).toBe(`${line}\n`);
    daemon.answer('auditProof', { bytes: proof.replace(`index ${closed.seq}`, 'index 3') });
    expect(await runs(daemon, dir.path, 'run', 'x').code).toBe(4);
  });

  test('is told when a daemon shows no checkpoint any more', async () => {
    await using dir = await tempDir();
    await using daemon = await daemonWithRun();
    serve(daemon, await logOf(9));
    await runs(daemon, dir.path).code;
    daemon.answer('auditCheckpoint', { problem: 'audit.unsigned' });
    const ran = runs(daemon, dir.path);
    expect(await ran.code).toBe(0);
    expect(ran.err()).toContain('no signed checkpoint');
  });

  test('compares with what an older version kept when it first sees a signed log', async () => {
    await using dir = await tempDir();
    await using daemon = await daemonWithRun();
    const log = await logOf(9);
    const folder = path.join(dir.path, '.state/orchestra-cli');
    await mkdir(folder, { recursive: true });
    const heads = {
      version: 1,
      logs: { [log.origin]: { size: 20, hash: 'a'.repeat(64) } },
      sockets: { [daemon.socketPath]: log.origin },
    };
    await writeFile(path.join(folder, 'heads.json'), JSON.stringify(heads));
    serve(daemon, log);
    daemon.answer('auditHead', { json: { size: 9, hash: 'b'.repeat(64), origin: log.origin } });
    const ran = runs(daemon, dir.path);
    expect(await ran.code).toBe(4);
    expect(ran.err()).toContain('the log had 20 records');
  });

  test('stops where what it kept cannot be read', async () => {
    await using dir = await tempDir();
    await using daemon = await daemonWithRun();
    serve(daemon, await logOf(9));
    await runs(daemon, dir.path).code;
    const logs = path.join(dir.path, '.state/orchestra-cli/logs');
    const [folder = ''] = await readdir(logs);
    const [name = ''] = await readdir(path.join(logs, folder));
    await writeFile(path.join(logs, folder, name), '{');
    expect(await runs(daemon, dir.path).code).toBe(1);
  });

  test('that needs no daemon asks none', async () => {
    await using dir = await tempDir();
    await using daemon = await daemonWithRun();
    for (const args of [['version'], ['help'], ['audit', 'verify', dir.path]]) {
      await runs(daemon, dir.path, ...args).code;
    }
    expect(daemon.asked).toEqual([]);
  });
});
