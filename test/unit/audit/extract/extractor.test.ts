import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Readable } from 'node:stream';
import { extract as untar } from 'tar-stream';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Extractor } from '#daemon/audit/extract/extractor.ts';
import { proofHashes, proofLineBytes } from '#daemon/audit/extract/proof-bytes.ts';
import { openIndex, type LogIndex } from '#daemon/audit/index-db.ts';
import { parseProof, parseSignedCheckpoint, spellProof } from '#verifier/tlog/checkpoint.ts';
import { includes, isConsistent, leafHash } from '#verifier/tlog/merkle.ts';
import { parseVkey, signedBy } from '#verifier/tlog/note.ts';
import { closed, noise, skipped, testLog, type TestLog } from '../fixture.ts';
import { CheckpointsByHand } from '#test/support/checkpoints-by-hand.ts';

const user = { kind: 'user', auth: 'peer', uid: 1000, name: 'ada' } as const;

type Stage = AsyncDisposable & {
  it: TestLog;
  index: LogIndex;
  signed: CheckpointsByHand;
  take: (run: string) => Promise<Map<string, string>>;
};

async function stage(): Promise<Stage> {
  const it = await testLog({ segmentBytes: 9_000 });
  const index = await openIndex(it);
  const signed = new CheckpointsByHand(it);
  await signed.begin();
  const extractor = new Extractor({
    ...it,
    index,
    checkpoints: signed,
    version: '1.2.3',
    now: () => Date.UTC(2026, 0, 2),
  });
  return {
    it,
    index,
    signed,
    take: async (run) => filesOf(await extractor.extract(run, user)),
    [Symbol.asyncDispose]: async () => {
      await index.close();
      await it[Symbol.asyncDispose]();
    },
  };
}

async function filesOf(tar: Readable): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  const unpack = untar();
  tar.on('error', (error) => unpack.destroy(error));
  tar.pipe(unpack);
  for await (const entry of unpack) {
    files.set(
      entry.header.name,
      Buffer.concat(await Array.fromAsync(entry as AsyncIterable<Buffer>)).toString(),
    );
  }
  return files;
}

/** Runs in each other's way, over several segments. */
async function fill({ it }: Stage, each = 20): Promise<void> {
  for (let n = 0; n < each; n += 1) {
    for (const run of ['r-a', 'r-b', 'r-c']) await it.log.append(skipped(run, `reason ${n}`));
    await it.log.append(noise(`between ${n}`));
  }
  await it.log.append(closed('r-a'));
  await it.log.append(closed('r-b'));
}

const rows = (text = '') =>
  text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Record<string, unknown>);

test('a run that nobody knows is refused, and nothing is recorded', async () => {
  await using s = await stage();
  await fill(s, 1);
  const { size } = s.it.log;
  await expect(s.take('r-z')).rejects.toMatchObject({ code: 'run.unknown' });
  expect(s.it.log.size).toBe(size);
});

test('without a signature nothing leaves, and nothing is recorded', async () => {
  await using s = await stage();
  await fill(s, 1);
  const { size } = s.it.log;
  s.signed.sign = () => Promise.reject(new Error('no signer'));
  await expect(s.take('r-a')).rejects.toThrow('no signer');
  expect(s.it.log.size).toBe(size);
});

test.each([
  ['leaves out the last', "DELETE FROM records WHERE type = 'run.closed' AND run = 'r-a'"],
  ['leaves out one', 'DELETE FROM records WHERE seq = 6'],
  ['gives one to another run', "UPDATE records SET run = 'r-b' WHERE seq = 6"],
  ['adds one of another', "UPDATE records SET run = 'r-a' WHERE seq = 7"],
])('an index that %s cannot make a run look whole', async (_name, damage) => {
  await using s = await stage();
  await fill(s);
  await s.index.query();
  expect((await s.index.find(6))?.record.run).toBe('r-a');
  const database = new DatabaseSync(join(s.it.dir, 'index.sqlite'));
  database.exec(damage);
  database.close();
  await expect(s.take('r-a')).rejects.toMatchObject({
    code: expect.stringMatching(/^audit\.(broken|index_changed)$/) as string,
  });
});

test('a line that was changed on the disk ends the stream before its manifest', async () => {
  await using s = await stage();
  await fill(s, 3);
  const [place] = await s.index.placesOfRun('r-a');
  const { open } = await import('node:fs/promises');
  const file = await open(join(s.it.dir, 'segments', '0000000000000000.jsonl'), 'r+');
  await file.write('X', (place?.offset ?? 0) + 40);
  await file.close();
  await expect(s.take('r-a')).rejects.toMatchObject({ code: 'audit.broken' });
});

test('who took which run is on record before a byte leaves', async () => {
  await using s = await stage();
  await fill(s);
  await s.take('r-a');
  const last = s.it.folded.findLast(({ type }) => type === 'log.extracted');
  expect(last).toMatchObject({
    actor: user,
    obj: { run: 'r-a' },
    data: { records: 21, complete: true },
  });
  // It is about the run, and none of its records: those were counted when it was closed.
  expect(last?.run).toBeUndefined();
});

test('every line is there as it lies on the disk, with a proof to the signed tree', async () => {
  await using s = await stage();
  await fill(s);
  const files = await s.take('r-a');
  expect([...files.keys()]).toEqual([
    'records.jsonl',
    'proofs.jsonl',
    'checkpoint',
    'epochs.jsonl',
    'manifest.json',
  ]);
  const manifest = JSON.parse(files.get('manifest.json') ?? '') as Record<string, unknown>;
  const lines = (await Array.fromAsync(s.it.log.read({ run: 'r-a' }))).map(({ line }) => line);
  expect(files.get('records.jsonl')).toBe(lines.map((line) => `${line}\n`).join(''));
  const checkpoint = parseSignedCheckpoint(files.get('checkpoint') ?? '');
  expect(manifest).toMatchObject({
    format: 'orchestra-extract/1',
    origin: s.it.log.origin,
    run: 'r-a',
    complete: true,
    records: 21,
    tree_size: checkpoint?.size,
    root: checkpoint?.root.toString('base64'),
    version: '1.2.3',
    time: '2026-01-02T00:00:00.000Z',
  });
  for (const [name, sha256] of Object.entries(manifest['files'] as object)) {
    expect(
      createHash('sha256')
        .update(files.get(name) ?? '')
        .digest('hex'),
    ).toBe(sha256);
  }
  expect(signedBy(checkpoint!.note, parseVkey(s.signed.vkey)!).signed).toBe(true);
  const proofs = rows(files.get('proofs.jsonl'));
  expect(proofs).toHaveLength(lines.length);
  for (const [n, { seq, proof }] of proofs.entries()) {
    expect((JSON.parse(lines[n] ?? '') as { seq: number }).seq).toBe(seq);
    const claim = {
      index: seq as number,
      size: checkpoint!.size,
      leaf: leafHash(Buffer.from(lines[n] ?? '')),
      root: checkpoint!.root,
      proof: parseProof(proof as string[])!,
    };
    expect(includes(claim)).toBe(true);
  }
});

test('a run that goes on is taken as it is, and says so', async () => {
  await using s = await stage();
  await fill(s);
  const files = await s.take('r-c');
  const manifest = JSON.parse(files.get('manifest.json') ?? '') as Record<string, unknown>;
  expect(manifest).toMatchObject({ complete: false, records: 20 });
  expect(files.get('records.jsonl')).not.toContain('run.closed');
});

test('each key is told by its record, and by what the key before it signed last', async () => {
  await using s = await stage();
  await fill(s, 2);
  const first = s.signed.vkey;
  await s.signed.rotate();
  const second = s.signed.vkey;
  await s.it.log.append(noise('in the second epoch'));
  await s.signed.sign();
  await s.signed.rotate();
  await s.it.log.append(skipped('r-d'));
  await s.it.log.append(closed('r-d'));
  const files = await s.take('r-d');
  const newest = parseSignedCheckpoint(files.get('checkpoint') ?? '')!;
  const epochs = rows(files.get('epochs.jsonl'));
  expect(epochs.map(({ epoch }) => epoch)).toEqual([0, 1, 2]);
  const signers = [s.signed.vkey, first, second];
  for (const [n, row] of epochs.entries()) {
    const line = String(row['line']);
    const record = JSON.parse(line) as { type: string; seq: number; data: { vkey: string } };
    expect(record.type).toBe(n === 0 ? 'key.created' : 'key.rotated');
    expect(record.seq).toBe(row['seq']);
    expect(record.data.vkey).toBe(s.signed.keys[n]?.vkey);
    const note = parseSignedCheckpoint(String(row['checkpoint']))!;
    expect(note.size).toBe(n === 0 ? newest.size : record.seq + 1);
    expect(signedBy(note.note, parseVkey(signers[n] ?? '')!).signed).toBe(true);
    const claim = {
      index: record.seq,
      size: note.size,
      leaf: leafHash(Buffer.from(line)),
      root: note.root,
      proof: parseProof(row['proof'] as string[])!,
    };
    expect(includes(claim)).toBe(true);
    const consistency = parseProof(row['consistency'] as string[])!;
    const grown = { from: note.size, to: newest.size, fromRoot: note.root, toRoot: newest.root };
    expect(isConsistent({ ...grown, proof: consistency })).toBe(true);
  }
});

test('the length of a proof is known before it is made', async () => {
  const counted = (index: number, size: number): number => {
    if (size <= 1) return 0;
    const k = 2 ** (Math.ceil(Math.log2(size)) - 1);
    return 1 + (index < k ? counted(index, k) : counted(index - k, size - k));
  };
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1e7 }), fc.nat(), (size, any) => {
      const index = any % size;
      expect(proofHashes(index, size)).toBe(counted(index, size));
      const proof = spellProof(
        Array.from({ length: proofHashes(index, size) }, () => Buffer.alloc(32)),
      );
      const line = `${JSON.stringify({ proof, seq: index })}\n`;
      expect(proofLineBytes(index, size)).toBe(line.length);
    }),
  );
  await Promise.resolve();
});
