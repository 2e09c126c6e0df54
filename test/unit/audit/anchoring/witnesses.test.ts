import type { RequestListener } from 'node:http';
import { describe, expect, test, vi } from 'vitest';
import { KnownLog, newSecret } from '#test/support/known-log.ts';
import { tempDir } from '#test/support/temp-dir.ts';
import { cosignNote } from '#signer/sign-note.ts';
import { parseVkey, signedBy, spellSignature } from '#verifier/tlog/note.ts';
import { actor, oddWitness, openStage, realWitness, type Peer } from './stage.ts';

const one = ({ member }: Peer, more: object = {}) => ({
  witnesses: { quorum: 1, members: [{ ...member, every: '1ms', timeout: '2s', ...more }] },
});

/** What a witness would be asked to sign, out of the request. */
const textIn = (body: string) => {
  const note = body.slice(body.indexOf('\n\n') + 2);
  return note.slice(0, note.indexOf('\n\n') + 1);
};
const bodyOf = async (request: AsyncIterable<Buffer>) =>
  Buffer.concat(await Array.fromAsync(request)).toString();

describe('a witness that', () => {
  const plain: [string, RequestListener, string, number][] = [
    ['does not know the log', (_, to) => void to.writeHead(404).end(), 'unknown_log', 404],
    ['does not trust the key', (_, to) => void to.writeHead(403).end(), 'untrusted_key', 403],
    ['sees a fork', (_, to) => void to.writeHead(422).end('no\n'), 'inconsistent', 422],
    ['is another service', (_, to) => void to.writeHead(200).end('<html>'), 'bad_answer', 200],
    ['says nothing', (_, to) => void to.writeHead(200).end(), 'bad_answer', 200],
    ['has trouble', (_, to) => void to.writeHead(500).end(), 'bad_answer', 500],
    [
      'sends elsewhere',
      (_, to) => void to.writeHead(307, { location: 'http://127.0.0.1:1/' }).end(),
      'redirect',
      307,
    ],
    [
      'wants what it got',
      (_, to) => void to.writeHead(409, { 'content-type': 'text/x.tlog.size' }).end('0\n'),
      'bad_answer',
      409,
    ],
    ['names no size', (_, to) => void to.writeHead(409).end('many\n'), 'bad_answer', 409],
    ['drops the connection', (request) => void request.destroy(), 'unreachable', 0],
    [
      'never stops talking',
      (_, to) => {
        to.writeHead(200);
        const timer = setInterval(() => to.write('x'.repeat(30_000)), 1);
        to.on('close', () => clearInterval(timer));
      },
      'unreachable',
      0,
    ],
  ];
  test.each(plain)('%s is on record as such, and nothing of it counts', async (...row) => {
    const [, answer, reason, status] = row;
    await using peer = await oddWitness(answer);
    await using stage = await openStage(one(peer));
    await stage.anchoring.now(actor, 5_000);
    const [refused] = stage.log.of('witness.refused');
    expect(refused?.data).toMatchObject({ witness: 'odd', size: 4, reason, status, failures: 1 });
    expect(stage.log.of('witness.cosigned')).toEqual([]);
    expect(stage.anchoring.view()).toMatchObject({ anchored: 0 });
    expect(stage.log.checkpoints.newest?.note.signatures).toHaveLength(2);
  });

  const slow: [string, RequestListener][] = [
    ['takes the request and never answers', () => {}],
    [
      'drips a byte at a time',
      (_, to) => {
        to.writeHead(200);
        const timer = setInterval(() => to.write('x'), 5);
        to.on('close', () => clearInterval(timer));
      },
    ],
  ];
  test.each(slow)('%s is left at its deadline', async (_name, answer) => {
    await using peer = await oddWitness(answer);
    await using stage = await openStage(one(peer, { timeout: '80ms' }));
    await stage.anchoring.now(actor, 5_000);
    expect(stage.log.of('witness.refused')[0]?.data).toMatchObject({ reason: 'timeout' });
  });

  test('signs with another key under its own name and id is not believed', async () => {
    const thief = newSecret();
    await using peer = await oddWitness((request, to) => {
      void bodyOf(request).then((body) => {
        const { name = '', id = 0 } = parseVkey(peer.member.vkey) ?? {};
        const line = cosignNote(textIn(body), { name, secret: thief }, 1n);
        to.writeHead(200).end(spellSignature({ ...line, id }));
      });
    });
    await using stage = await openStage(one(peer));
    await stage.anchoring.now(actor, 5_000);
    const [refused] = stage.log.of('witness.refused');
    expect(refused).toMatchObject({ sev: 'alert', data: { reason: 'wrong_signature' } });
    expect(stage.log.checkpoints.newest?.note.signatures).toHaveLength(2);
  });

  test.each([
    ['another checkpoint', (text: string) => text.replace('\n4\n', '\n5\n'), 1n],
    ['no time', (text: string) => text, 0n],
  ])('signs %s is not believed', async (_name, change, time) => {
    const secret = newSecret();
    await using peer = await oddWitness(
      (request, to) => {
        void bodyOf(request).then((body) => {
          const name = 'witness.example/odd';
          const line = cosignNote(change(textIn(body)), { name, secret }, time);
          to.writeHead(200).end(spellSignature(line));
        });
      },
      { secret },
    );
    await using stage = await openStage(one(peer));
    await stage.anchoring.now(actor, 5_000);
    expect(stage.log.of('witness.cosigned')).toEqual([]);
  });

  test('hangs holds up neither another one, nor the log, nor the end', async () => {
    await using dir = await tempDir();
    await using hung = await oddWitness(() => {});
    const log = new KnownLog();
    await using good = await realWitness(dir.path, log);
    const members = [
      { ...hung.member, timeout: '1h' },
      { ...good.member, every: '1ms' },
    ];
    await using stage = await openStage({ witnesses: { quorum: 1, members } }, { log });
    await log.checkpoints.sign();
    await vi.waitFor(() => expect(log.of('witness.cosigned')).toHaveLength(1));
    expect(stage.anchoring.view().targets[0]).toMatchObject({ name: 'odd', state: 'sending' });
    await stage.anchoring.close();
    expect(log.of('witness.refused')).toEqual([]);
  });
});

test('a witness that was away gets the proof from where it was, and signs the newest', async () => {
  await using dir = await tempDir();
  const log = new KnownLog();
  const secret = newSecret();
  await using first = await realWitness(dir.path, log, { secret });
  await using stage = await openStage(one(first), { log });
  await stage.anchoring.now(actor, 5_000);
  expect(log.of('witness.cosigned')[0]?.data).toMatchObject({ witness: 'w1', size: 4 });
  await first[Symbol.asyncDispose]();
  await log.grow(20);
  await stage.anchoring.now(actor, 5_000);
  expect(log.of('witness.refused')[0]?.data).toMatchObject({ reason: 'unreachable' });
  await log.grow(20);
  await using back = await realWitness(dir.path, log, { secret });
  await stage.restart(one(back));
  await stage.anchoring.now(actor, 5_000);
  const { newest } = log.checkpoints;
  expect(log.of('witness.cosigned').at(-1)?.data.size).toBe(newest?.size);
  const key = parseVkey(back.member.vkey);
  expect(newest && key && signedBy(newest.note, key)).toMatchObject({ signed: true });
});

test('a witness that knows more than the log remembers is asked again from there', async () => {
  await using dir = await tempDir();
  const log = new KnownLog();
  await using peer = await realWitness(dir.path, log);
  await using stage = await openStage(one(peer), { log });
  await stage.anchoring.now(actor, 5_000);
  // What a crash between the answer and its record leaves.
  const at = log.records.findIndex(({ type }) => type === 'witness.cosigned');
  const [lost] = log.records.splice(at, 1, ...log.records.slice(0, 1));
  expect(lost?.type).toBe('witness.cosigned');
  await log.grow(5);
  await stage.restart();
  await stage.anchoring.now(actor, 5_000);
  expect(stage.anchoring.view()).toMatchObject({ anchored: log.checkpoints.newest?.size });
});

test('a witness that saw more of this log than there is raises an alert: its end was cut', async () => {
  await using dir = await tempDir();
  const log = new KnownLog();
  await using peer = await realWitness(dir.path, log);
  {
    await using stage = await openStage(one(peer), { log });
    await log.grow(30);
    await stage.anchoring.now(actor, 5_000);
  }
  log.records.splice(5);
  log.leaves.splice(5);
  log.checkpoints.newest = undefined;
  await using stage = await openStage(one(peer), { log });
  await stage.anchoring.now(actor, 5_000);
  expect(log.of('witness.refused')[0]).toMatchObject({ sev: 'alert', data: { reason: 'ahead' } });
});

test('two logs of one origin: the witness stays with the first, and the other one is told', async () => {
  await using dir = await tempDir();
  const log = new KnownLog();
  await using peer = await realWitness(dir.path, log);
  await using stage = await openStage(one(peer), { log });
  await stage.anchoring.now(actor, 5_000);
  const fork = new KnownLog(log.origin);
  fork.now += 1;
  Object.assign(fork, { checkpoints: log.checkpoints.forkOf(fork) });
  await fork.grow(10);
  await using other = await openStage(one(peer), { log: fork });
  await other.anchoring.now(actor, 5_000);
  const [refused] = fork.of('witness.refused');
  expect(refused).toMatchObject({
    sev: 'alert',
    outcome: 'denied',
    data: { reason: 'inconsistent', status: 422 },
  });
  await log.grow(1);
  await stage.anchoring.now(actor, 5_000);
  expect(stage.anchoring.view()).toMatchObject({ anchored: log.checkpoints.newest?.size });
});

test('two of three are enough, and one key under two names is not two', async () => {
  await using dir = await tempDir();
  const log = new KnownLog();
  await using a = await realWitness(dir.path, log, { name: 'a', secret: newSecret() });
  await using b = await realWitness(dir.path, log, { name: 'b', secret: newSecret() });
  await using c = await oddWitness((_, to) => void to.writeHead(404).end(), { name: 'c' });
  const members = [a, b, c].map(({ member }) => member);
  await using stage = await openStage({ witnesses: { quorum: 2, members } }, { log });
  const view = await stage.anchoring.now(actor, 5_000);
  expect(view).toMatchObject({ anchored: 4, quorum: { need: 2, of: 3, size: 4 } });
  await stage.restart({ witnesses: { quorum: 3, members } });
  expect(stage.anchoring.view()).toMatchObject({ anchored: 0 });
  const twice = [a.member, { ...a.member, name: 'again' }];
  await expect(openStage({ witnesses: { quorum: 2, members: twice } })).rejects.toThrow(
    'same vkey',
  );
});

test('what a witness refuses for hours is on record once, and again when the reason changes', async () => {
  let status = 404;
  let asked = 0;
  await using peer = await oddWitness((_, to) => {
    asked += 1;
    to.writeHead(status).end();
  });
  await using stage = await openStage(one(peer));
  await stage.log.checkpoints.sign();
  await vi.waitFor(() => expect(asked).toBeGreaterThan(3));
  expect(stage.log.of('witness.refused')).toHaveLength(1);
  status = 403;
  await vi.waitFor(() => expect(stage.log.of('witness.refused')).toHaveLength(2));
});

test('the records of anchoring are no reason to anchor', async () => {
  await using dir = await tempDir();
  const log = new KnownLog();
  await using peer = await realWitness(dir.path, log);
  await using stage = await openStage(one(peer), { log });
  for (let i = 0; i < 5; i += 1) {
    await log.checkpoints.sign();
    await vi.waitFor(() => expect(log.of('witness.cosigned').length).toBeGreaterThan(0));
    await log.append({ type: 'log.read', data: { what: 'list', query: '', records: 0 } });
  }
  await log.checkpoints.sign();
  expect(log.of('witness.cosigned')).toHaveLength(1);
  expect(stage.anchoring.view().unanchored.records).toBe(0);
});
