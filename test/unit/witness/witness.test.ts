import { hash } from 'node:crypto';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { KnownLog, newSecret } from '#test/support/known-log.ts';
import { tempDir } from '#test/support/temp-dir.ts';
import { vkeyOf } from '#signer/sign-note.ts';
import { parseSignedCheckpoint, spellProof } from '#verifier/tlog/checkpoint.ts';
import type { Proof } from '#verifier/tlog/merkle.ts';
import { parseSignature, parseVkey, signedBy, spellNote, type Note } from '#verifier/tlog/note.ts';
import { LatestFiles } from '#witness/latest-files.ts';
import { Witness } from '#witness/witness.ts';

const key = { name: 'witness.example/w1', secret: newSecret() };
const own = parseVkey(vkeyOf(key, 'cosignature'));
if (own === undefined) throw new Error('the key of the test is none');

async function openWitness(dir: string, log: KnownLog): Promise<Witness> {
  const known = parseVkey(log.checkpoints.witnessKey);
  const latest = await LatestFiles.open(join(dir, 'logs'));
  return new Witness({ key, logs: known ? [known] : [], latest, now: () => 1_700_000_000 });
}

async function logOf(records: number): Promise<KnownLog> {
  const log = new KnownLog();
  await log.grow(records);
  return log;
}

const spelled = (old: number, proof: Proof, note: Note) =>
  Buffer.from([`old ${old}`, ...spellProof(proof), '', spellNote(note)].join('\n'));

/** As the log itself would ask, proof and all. */
async function requestOf(log: KnownLog, old: number, size: number): Promise<Buffer> {
  const proof = old > size ? [] : await log.checkpoints.tree.consistency(old, size);
  return spelled(old, proof, log.checkpoints.at(size).note);
}

describe('a request is refused', () => {
  const wrongBodies: [string, (good: string) => string][] = [
    ['empty', () => ''],
    ['without an old size', (good) => good.replace('old 0\n', '')],
    ['an old size with leading zeros', (good) => good.replace('old 0', 'old 00')],
    ['an old size below zero', (good) => good.replace('old 0', 'old -1')],
    ['a proof line that is no hash', (good) => good.replace('old 0\n', 'old 0\nAAAA\n')],
    ['a note without signatures', (good) => good.slice(0, good.indexOf('\u2014'))],
    ['a note with a control character', (good) => good.replace('known', 'kn\town')],
    [
      'more proof than any tree needs',
      (good) => good.replace('\n', `\n${'A'.repeat(43)}=\n`.repeat(64)),
    ],
  ];
  test.each(wrongBodies)('with 400: %s', async (_name, spoil) => {
    await using dir = await tempDir();
    const log = await logOf(3);
    const witness = await openWitness(dir.path, log);
    const body = spoil((await requestOf(log, 0, 3)).toString());
    expect(await witness.addCheckpoint(Buffer.from(body))).toMatchObject({ status: 400 });
  });

  test('with 400: bytes that are not UTF-8', async () => {
    await using dir = await tempDir();
    const log = await logOf(3);
    const witness = await openWitness(dir.path, log);
    const body = Buffer.concat([await requestOf(log, 0, 3), Buffer.from([0xff, 0x0a])]);
    expect(await witness.addCheckpoint(body)).toMatchObject({ status: 400 });
  });

  test('with 400: an old size above the new one', async () => {
    await using dir = await tempDir();
    const log = await logOf(5);
    const witness = await openWitness(dir.path, log);
    expect(await witness.addCheckpoint(await requestOf(log, 5, 3))).toMatchObject({ status: 400 });
  });

  test('with 404: an origin that is not configured', async () => {
    await using dir = await tempDir();
    const witness = await openWitness(dir.path, await logOf(3));
    const other = new KnownLog('example.org/other');
    await other.grow(2);
    expect(await witness.addCheckpoint(await requestOf(other, 0, 2))).toMatchObject({
      status: 404,
    });
  });

  test('with 403: a signature of somebody else under the right name', async () => {
    await using dir = await tempDir();
    const log = await logOf(3);
    const witness = await openWitness(dir.path, log);
    const thief = await logOf(3);
    expect(await witness.addCheckpoint(await requestOf(thief, 0, 3))).toMatchObject({
      status: 403,
    });
  });

  test('with 403: the right key, and a signature that does not hold', async () => {
    await using dir = await tempDir();
    const log = await logOf(3);
    const witness = await openWitness(dir.path, log);
    const { note } = log.checkpoints.at(3);
    const { text } = log.checkpoints.at(2).note;
    const body = spelled(0, [], { ...note, text });
    expect(await witness.addCheckpoint(body)).toMatchObject({ status: 403 });
  });

  test('with 409 and the size it knows: another old size than the one it cosigned', async () => {
    await using dir = await tempDir();
    const log = await logOf(9);
    const witness = await openWitness(dir.path, log);
    await witness.addCheckpoint(await requestOf(log, 0, 5));
    for (const old of [0, 4, 6]) {
      const answer = await witness.addCheckpoint(await requestOf(log, old, 9));
      expect(answer).toEqual({ status: 409, text: '5\n', type: 'text/x.tlog.size' });
    }
  });

  test('with 422: another tree of the same size, and one that does not continue it', async () => {
    await using dir = await tempDir();
    const log = await logOf(9);
    const witness = await openWitness(dir.path, log);
    await witness.addCheckpoint(await requestOf(log, 0, 5));
    const fork = new KnownLog(log.origin);
    fork.now += 1;
    await fork.grow(9);
    const forked = log.checkpoints.forkOf(fork);
    const same = spelled(5, [], forked.at(5).note);
    expect(await witness.addCheckpoint(same)).toMatchObject({ status: 422 });
    const proof = await forked.tree.consistency(5, 9);
    const longer = spelled(5, proof, forked.at(9).note);
    expect(await witness.addCheckpoint(longer)).toMatchObject({ status: 422 });
    expect(await witness.addCheckpoint(await requestOf(log, 5, 9))).toMatchObject({ status: 200 });
  });

  test('with 422: a proof where none belongs', async () => {
    await using dir = await tempDir();
    const log = await logOf(9);
    const witness = await openWitness(dir.path, log);
    const body = spelled(0, [log.leaves[0] ?? Buffer.alloc(32)], log.checkpoints.at(5).note);
    expect(await witness.addCheckpoint(body)).toMatchObject({ status: 422 });
  });
});

test('of two that continue the same state at the same time one is cosigned', async () => {
  await using dir = await tempDir();
  const log = await logOf(9);
  const witness = await openWitness(dir.path, log);
  await witness.addCheckpoint(await requestOf(log, 0, 3));
  const bodies = await Promise.all([requestOf(log, 3, 9), requestOf(log, 3, 7)]);
  const answers = await Promise.all(bodies.map((body) => witness.addCheckpoint(body)));
  expect(answers.map(({ status }) => status)).toEqual([200, 409]);
  expect(answers[1]?.text).toBe('9\n');
});

test('what it cosigned is on disk before it answers, and a new process goes on from there', async () => {
  await using dir = await tempDir();
  const log = await logOf(9);
  const first = await openWitness(dir.path, log);
  await first.addCheckpoint(await requestOf(log, 0, 5));
  const second = await openWitness(dir.path, log);
  expect(await second.addCheckpoint(await requestOf(log, 0, 9))).toMatchObject({ text: '5\n' });
  expect(await second.addCheckpoint(await requestOf(log, 5, 9))).toMatchObject({ status: 200 });
});

test('a state that is damaged is not taken for a log that was never seen', async () => {
  await using dir = await tempDir();
  const log = await logOf(9);
  const witness = await openWitness(dir.path, log);
  await witness.addCheckpoint(await requestOf(log, 0, 5));
  const [name = ''] = await readdir(join(dir.path, 'logs'));
  await writeFile(join(dir.path, 'logs', name), 'x');
  await expect(witness.addCheckpoint(await requestOf(log, 0, 9))).rejects.toThrow('damaged');
});

test('a cosignature holds by the key of the witness, with its time, and is served again', async () => {
  await using dir = await tempDir();
  const log = await logOf(5);
  const witness = await openWitness(dir.path, log);
  const { status, text } = await witness.addCheckpoint(await requestOf(log, 0, 5));
  expect(status).toBe(200);
  const line = parseSignature(text.trimEnd());
  const { note } = log.checkpoints.at(5);
  const signed = signedBy({ text: note.text, signatures: line ? [line] : [] }, own);
  expect(signed).toEqual({ signed: true, at: 1_700_000_000 });
  const latest = await witness.latest(hash('sha256', log.origin, 'hex'));
  const served = parseSignedCheckpoint(latest.text);
  expect(served?.size).toBe(5);
  expect(served && signedBy(served.note, own)).toMatchObject({ signed: true });
  expect(await witness.latest('0'.repeat(64))).toMatchObject({ status: 404 });
  const files = await readdir(join(dir.path, 'logs'));
  expect(await readFile(join(dir.path, 'logs', files[0] ?? ''), 'utf8')).toBe(latest.text);
});

test('the same state may be cosigned again, without a proof', async () => {
  await using dir = await tempDir();
  const log = await logOf(5);
  const witness = await openWitness(dir.path, log);
  await witness.addCheckpoint(await requestOf(log, 0, 5));
  expect(await witness.addCheckpoint(await requestOf(log, 5, 5))).toMatchObject({ status: 200 });
});

test('whatever is changed in a request, nothing is cosigned but what continues the log', async () => {
  await using dir = await tempDir();
  const log = await logOf(9);
  const witness = await openWitness(dir.path, log);
  await witness.addCheckpoint(await requestOf(log, 0, 5));
  const good = await requestOf(log, 5, 9);
  const change = fc.record({
    at: fc.nat({ max: good.length - 1 }),
    cut: fc.nat({ max: 3 }),
    put: fc.uint8Array({ maxLength: 3 }),
  });
  const known = await witness.latest(hash('sha256', log.origin, 'hex'));
  await fc.assert(
    fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 3 }), async (changes) => {
      let body = good;
      for (const { at, cut, put } of changes) {
        body = Buffer.concat([body.subarray(0, at), put, body.subarray(at + cut)]);
      }
      fc.pre(!body.equals(good));
      const { status } = await witness.addCheckpoint(body);
      // What is not looked at may be another: a signature of a key that is not configured.
      if (status !== 200) expect([400, 403, 404, 409, 422]).toContain(status);
      else expect(body.toString()).toContain(good.toString().split('\u2014')[0]);
      const now = parseSignedCheckpoint(
        (await witness.latest(hash('sha256', log.origin, 'hex'))).text,
      );
      const expected = status === 200 ? log.checkpoints.at(9) : parseSignedCheckpoint(known.text);
      expect(now?.root).toEqual(expected?.root);
      if (status !== 200) return;
      // Back to where it was, for the next one.
      await rm(join(dir.path, 'logs'), { recursive: true });
      await mkdir(join(dir.path, 'logs'));
      await witness.addCheckpoint(await requestOf(log, 0, 5));
    }),
    { numRuns: 1_000 },
  );
});
