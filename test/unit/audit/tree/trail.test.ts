import { appendFile, cp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openLog } from '#daemon/audit/log.ts';
import { acceptLoss } from '#daemon/audit/tree/accept-loss.ts';
import { noSigner } from '#daemon/audit/tree/signer-port.ts';
import { Trail, type TrailTimes } from '#daemon/audit/tree/trail.ts';
import type { Log } from '#daemon/audit/types.ts';
import { systemClock } from '#daemon/base/clock.ts';
import { Signer } from '#signer/signer.ts';
import { NearSigner } from '#test/support/signing.ts';
import { tempDir } from '#test/support/temp-dir.ts';
import { parseSignedCheckpoint, type SignedCheckpoint } from '#verifier/tlog/checkpoint.ts';
import { includes, isConsistent } from '#verifier/tlog/merkle.ts';
import { parseVkey, signedBy } from '#verifier/tlog/note.ts';
import { copyOf, noise, closed } from '../fixture.ts';

const never = 24 * 60 * 60 * 1000;
/** Nothing happens by the clock, unless a test wants it to. */
const still: Partial<TrailTimes> = { waitMs: never, pauseMs: never, records: 1e9, meetMs: 0 };

/** A log with its signer, in a folder that may be opened again as a crash would leave it. */
class Signed implements AsyncDisposable {
  readonly dir: string;
  readonly signer: NearSigner;
  readonly troubles: string[] = [];
  log!: Log;
  trail!: Trail;
  #isOpen = false;
  readonly #gone: (() => PromiseLike<void>) | undefined;

  private constructor(dir: string, gone: (() => PromiseLike<void>) | undefined) {
    this.dir = dir;
    this.#gone = gone;
    this.signer = new NearSigner({ dir: join(dir, 'signer') });
  }

  static async open(times: Partial<TrailTimes> = {}, at?: string): Promise<Signed> {
    const temp = at === undefined ? await tempDir() : undefined;
    const it = new Signed(at ?? temp?.path ?? '', temp && (() => temp[Symbol.asyncDispose]()));
    await it.start(times);
    return it;
  }

  get audit(): string {
    return join(this.dir, 'audit');
  }

  async start(times: Partial<TrailTimes> = {}): Promise<void> {
    const trail = new Trail({
      dir: this.audit,
      signer: this.signer,
      clock: systemClock(),
      times: { ...still, ...times },
      onTrouble: (what, error) => this.troubles.push(`${what}: ${String(error)}`),
    });
    try {
      const log = await openLog({
        dir: this.audit,
        version: '0.0.0',
        origin: 'host/orchestra/test',
        reserveBytes: 0,
        tree: trail.tree,
        check: (found) => trail.check(found),
        onBatch: (facts) => trail.grown(facts),
        onRecord: (record) => trail.fold(record),
      });
      this.log = log;
      this.trail = trail;
      this.#isOpen = true;
      await trail.begin(log);
    } catch (error) {
      await trail.close();
      throw error;
    }
  }

  async add(count: number): Promise<void> {
    await this.log.appendAll(Array.from({ length: count }, (_, n) => noise(`${n}`)));
  }

  /** Whatever was said of the log so far. */
  async types(): Promise<string[]> {
    return Array.fromAsync(this.log.read(), ({ record }) => record.type);
  }

  async notes(): Promise<SignedCheckpoint[]> {
    const text = await readFile(join(this.audit, 'checkpoints.log'), 'utf8');
    const blocks = text.split('\n\n').slice(0, -1);
    return Array.from({ length: blocks.length / 2 }, (_, n) =>
      parseSignedCheckpoint(`${blocks[2 * n] ?? ''}\n\n${blocks[2 * n + 1] ?? ''}\n`),
    ).filter((note) => note !== undefined);
  }

  async giveUp(reason: string): Promise<void> {
    const giveUp = async () => {
      using signer = await Signer.open({ dir: join(this.dir, 'signer') });
      await signer.giveUp();
    };
    const { audit: dir, signer } = this;
    await acceptLoss({ dir, version: '0.0.0', reason, signer, giveUp });
  }

  async stop(): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    await this.trail.close();
    await this.log.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await this.#gone?.();
  }
}

const failing = (code: string) => expect.objectContaining({ code });

describe('a log that is not the one that was signed does not open', () => {
  test('where records are gone that were signed, even if every file of the log says nothing of them', async () => {
    await using it = await Signed.open();
    await it.add(5);
    await it.trail.sign();
    await using before = await copyOf(it.dir);
    await it.add(20);
    await it.trail.sign();
    await it.stop();
    // The whole log folder as it was once; the signer is elsewhere and knows better.
    await rm(it.audit, { recursive: true });
    await cp(join(before.path, 'audit'), it.audit, { recursive: true });
    await expect(it.start()).rejects.toThrow(failing('audit.rolled_back'));
  });

  test('where a checkpoint has more records than are left, without a signer that answers', async () => {
    await using it = await Signed.open();
    await it.add(5);
    await it.trail.sign();
    await it.stop();
    const segment = join(it.audit, 'segments', '0000000000000000.jsonl');
    const lines = (await readFile(segment, 'utf8')).split('\n').slice(0, 4);
    await truncate(segment, `${lines.join('\n')}\n`.length);
    await rm(join(it.audit, 'heads.jsonl'));
    await writeFile(join(it.audit, 'heads.jsonl'), '');
    it.signer.onAsk = () => Promise.reject(noSigner('it is away'));
    await expect(it.start()).rejects.toThrow(failing('audit.rolled_back'));
  });

  test('where it was rewritten with everything in it, by whoever can write all files but the signer’s', async () => {
    await using it = await Signed.open();
    await it.add(30);
    await it.trail.sign();
    await it.stop();
    // Another log of the same name, sound in itself and longer.
    await using other = await Signed.open();
    await other.add(60);
    await other.trail.sign();
    await other.stop();
    await rm(it.audit, { recursive: true });
    await cp(other.audit, it.audit, { recursive: true });
    await expect(it.start()).rejects.toThrow(failing('audit.broken'));
  });

  test('where its newest checkpoint is signed by somebody else', async () => {
    await using it = await Signed.open();
    await it.add(3);
    const { note } = await it.trail.sign();
    await it.stop();
    const signature = note.signatures[0]?.bytes ?? Buffer.alloc(0);
    const path = join(it.audit, 'checkpoints.log');
    const text = await readFile(path, 'utf8');
    const head = Buffer.alloc(4);
    head.writeUInt32BE(note.signatures[0]?.id ?? 0);
    const spelled = (bytes: Buffer) => Buffer.concat([head, bytes]).toString('base64');
    const doctored = Buffer.from(signature);
    doctored.writeUInt8(doctored.readUInt8(9) ^ 1, 9);
    await writeFile(path, text.replaceAll(spelled(signature), spelled(doctored)));
    await expect(it.start()).rejects.toThrow(failing('audit.broken'));
  });

  test('where the signer is that of another log, or has lost its keys', async () => {
    await using it = await Signed.open();
    await it.add(3);
    await it.trail.sign();
    await it.stop();
    await rm(join(it.dir, 'signer'), { recursive: true });
    await expect(it.start()).rejects.toThrow(failing('audit.broken'));
    await it.signer.ask({ op: 'init', origin: 'host/orchestra/other' });
    await it.signer.close();
    await expect(it.start()).rejects.toThrow(failing('audit.broken'));
  });
});

describe('a signer that is away', () => {
  test('holds up no record, is told on record once, and signs everything when it is back', async () => {
    await using it = await Signed.open({ waitMs: 5, records: 1 });
    await it.trail.sign();
    it.signer.onAsk = () => Promise.reject(noSigner('it is away'));
    for (let n = 0; n < 5; n += 1) await it.add(3);
    await expect(it.trail.sign()).rejects.toThrow(failing('audit.unsigned'));
    await expect.poll(() => it.trail.trouble).toContain('it is away');
    await it.add(1);
    const told = (await it.types()).filter((type) => type === 'daemon.error').length;
    expect(told).toBe(17);
    expect(it.troubles).toHaveLength(1);
    it.signer.onAsk = () => {};
    const { size } = await it.trail.sign();
    expect(size).toBe(it.log.size);
    expect(it.trail.trouble).toBeUndefined();
  });

  test('lets no new run in once records have waited too long', async () => {
    await using it = await Signed.open({ unsignedMaxMs: 0 });
    await it.trail.sign();
    expect(() => it.trail.assertSigned()).not.toThrow();
    it.signer.onAsk = () => Promise.reject(noSigner('it is away'));
    await it.add(1);
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(() => it.trail.assertSigned()).toThrow(failing('audit.unsigned'));
    it.signer.onAsk = () => {};
    await it.trail.sign();
    expect(() => it.trail.assertSigned()).not.toThrow();
  });

  test('at the very first start lets the log begin, and its key is on record once it is there', async () => {
    await using it = await Signed.open();
    await it.stop();
    await rm(it.dir, { recursive: true });
    it.signer.onAsk = () => Promise.reject(noSigner('it is away'));
    await it.start();
    await it.add(2);
    expect(it.trail.keys).toEqual([]);
    it.signer.onAsk = () => {};
    const { size } = await it.trail.sign();
    expect(it.trail.keys).toHaveLength(1);
    expect(size).toBe(it.log.size);
  });

  test('and signed without being heard goes on from there', async () => {
    await using it = await Signed.open();
    await it.trail.sign();
    await it.add(4);
    const ask = it.signer.ask.bind(it.signer);
    it.signer.ask = async (question) => {
      const answer = await ask(question);
      if (question.op === 'sign') throw noSigner('the answer was lost');
      return answer;
    };
    await expect(it.trail.sign()).rejects.toThrow(failing('audit.unsigned'));
    it.signer.ask = ask;
    await it.add(2);
    const { size, note } = await it.trail.sign();
    const key = parseVkey(it.trail.keys[0]?.vkey ?? '');
    expect([size, key && signedBy(note, key).signed]).toEqual([it.log.size, true]);
  });
});

describe('a crash', () => {
  test('between the signer and checkpoints.log: the note is there after the next start', async () => {
    await using it = await Signed.open();
    await it.add(4);
    await it.trail.sign();
    const before = await readFile(join(it.audit, 'checkpoints.log'));
    await it.add(3);
    const { size } = await it.trail.sign();
    await it.stop();
    await writeFile(join(it.audit, 'checkpoints.log'), before);
    await it.start();
    expect(it.trail.newest?.size).toBe(size);
    expect((await it.notes()).at(-1)?.size).toBe(size);
  });

  test.each([1, 30, 100, 200])(
    'that tears %i bytes off the last note loses only that',
    async (cut) => {
      await using it = await Signed.open();
      await it.add(4);
      await it.trail.sign();
      const path = join(it.audit, 'checkpoints.log');
      const whole = await readFile(path);
      await it.add(1);
      await it.trail.sign();
      await it.stop();
      const all = await readFile(path);
      await writeFile(path, all.subarray(0, Math.max(whole.length, all.length - cut)));
      await appendFile(path, Buffer.alloc(50));
      await it.start();
      await it.add(1);
      await it.trail.sign();
      const sizes = (await it.notes()).map(({ size }) => size);
      expect(sizes).toEqual(sizes.toSorted((a, b) => a - b));
      expect(sizes.at(-1)).toBe(it.log.size);
    },
  );

  test.each(['prepare', 'rotate', 'rotate, after it was done'])(
    'of a rotation at %s ends in one key, named by the one before',
    async (where) => {
      await using it = await Signed.open();
      await it.add(4);
      await it.trail.sign();
      const ask = it.signer.ask.bind(it.signer);
      it.signer.ask = async (question) => {
        const dies = where.startsWith(question.op);
        if (dies && !where.endsWith('done')) throw noSigner('killed');
        const answer = await ask(question);
        if (dies) throw noSigner('killed');
        return answer;
      };
      await expect(it.trail.rotate()).rejects.toThrow(failing('audit.unsigned'));
      it.signer.ask = ask;
      await it.stop();
      await it.start();
      await it.add(2);
      await it.trail.sign();
      const epochs = where === 'prepare' ? [0] : [0, 1];
      expect(it.trail.keys.map(({ epoch }) => epoch)).toEqual(epochs);
      await assertSignedByEpochs(it);
      if (where === 'prepare') return;
      const [old, key] = it.trail.keys;
      expect(parseSignedCheckpoint(old?.final ?? '')?.size).toBe((key?.seq ?? 0) + 1);
      expect((await it.types()).filter((type) => type.startsWith('key.'))).toEqual([
        'key.created',
        'key.rotated',
        'key.destroyed',
      ]);
    },
  );
});

/** Every note is signed by the key of its size, and continues the one before it. */
async function assertSignedByEpochs(it: Signed): Promise<void> {
  let last: SignedCheckpoint | undefined;
  for (const note of await it.notes()) {
    const { size, root } = note;
    const owner = it.trail.keys.findLast(({ seq, epoch }) =>
      epoch === 0 ? seq < size : seq + 1 < size,
    );
    const key = parseVkey(owner?.vkey ?? '');
    expect(key !== undefined && signedBy(note.note, key).signed).toBe(true);
    const [from, fromRoot] = [last?.size ?? 0, last?.root ?? (await it.trail.tree.rootAt(0))];
    const proof = await it.trail.tree.consistency(from, size);
    expect(isConsistent({ from, to: size, fromRoot, toRoot: root, proof })).toBe(true);
    last = note;
  }
}

describe('a loss that a person accepts', () => {
  test('ends the key that signed what is gone, says what that was, and a new one signs what is left', async () => {
    await using it = await Signed.open();
    await it.add(5);
    await using before = await copyOf(it.audit);
    await it.add(20);
    const lost = await it.trail.sign();
    const [old] = it.trail.keys;
    await it.stop();
    const segment = join('segments', '0000000000000000.jsonl');
    await writeFile(join(it.audit, segment), await readFile(join(before.path, segment)));
    await expect(it.start()).rejects.toThrow(failing('audit.rolled_back'));
    await it.giveUp('the disk died');
    await it.start();
    await it.add(2);
    const newest = await it.trail.sign();
    expect(newest.size).toBe(it.log.size);
    const records = await Array.fromAsync(it.log.read(), ({ record }) => record);
    expect(records.find(({ type }) => type === 'log.loss.acknowledged')?.data).toMatchObject({
      expected_size: lost.size,
      reason: 'the disk died',
    });
    const root = lost.root.toString('base64');
    expect(records.findLast(({ type }) => type === 'key.created')?.data).toMatchObject({
      epoch: 1,
      lost: { vkey: old?.vkey, size: lost.size, root },
    });
    expect((await it.notes()).every(({ size }) => size <= it.log.size)).toBe(true);
    const aside = await readFile(join(it.audit, 'quarantine', 'checkpoints-7.log'), 'utf8');
    expect(aside).toContain(`\n${lost.size}\n`);
  });
});

describe('a signer that lost its keys', () => {
  test('is followed by one whose key is on record as a new beginning, once a person says so', async () => {
    await using it = await Signed.open();
    await it.add(5);
    const { size } = await it.trail.sign();
    const [old] = it.trail.keys;
    await it.stop();
    await rm(join(it.dir, 'signer'), { recursive: true });
    await expect(it.start()).rejects.toThrow(failing('audit.broken'));
    await it.giveUp('the disk of the signer died');
    await it.start();
    await it.trail.sign();
    const records = await Array.fromAsync(it.log.read({ type: 'key.created' }));
    expect(records[1]?.record.data).toMatchObject({ epoch: 1, lost: { vkey: old?.vkey, size } });
  });
});

describe('the log is signed', () => {
  test('at the end of a run, after so many records, and after a while', async () => {
    await using it = await Signed.open({ records: 10, pauseMs: 1 });
    await it.trail.sign();
    await it.log.append(closed('r-0123456789'));
    await expect.poll(() => it.trail.newest?.size).toBe(it.log.size);
    await it.add(9);
    expect(it.trail.unsigned).toBe(9);
    await it.add(1);
    await expect.poll(() => it.trail.unsigned).toBe(0);
    await it.stop();
    await it.start({ waitMs: 20 });
    await it.add(1);
    await expect.poll(() => it.trail.unsigned).toBe(0);
  });

  test('as it stops, so that the next start finds nothing unsigned', async () => {
    await using it = await Signed.open();
    await it.add(3);
    const { size } = it.log;
    await it.stop();
    expect((await it.notes()).at(-1)?.size).toBe(size);
    const newest = await readFile(join(it.audit, 'checkpoint'), 'utf8');
    expect(parseSignedCheckpoint(newest)?.size).toBe(size);
  });

  test('once for all who ask at the same time', async () => {
    await using it = await Signed.open();
    await it.add(5);
    it.signer.asked.length = 0;
    const all = await Promise.all(Array.from({ length: 20 }, () => it.trail.sign()));
    expect(new Set(all.map(({ size }) => size))).toEqual(new Set([it.log.size]));
    expect(it.signer.asked.filter(({ op }) => op === 'sign')).toHaveLength(1);
  });

  test('over a word that nothing happened, when nothing did', async () => {
    await using it = await Signed.open({ heartbeatMs: 0 });
    await it.trail.sign();
    await it.trail.tick();
    const records = await Array.fromAsync(it.log.read(), ({ record }) => record);
    const { data, seq } = records.at(-1) ?? {};
    expect(records.at(-1)?.type).toBe('log.heartbeat');
    expect(data).toMatchObject({ size: seq });
    expect(it.trail.newest?.size).toBe(it.log.size);
  });

  test('by a new key each day, each named and signed for by the one before', async () => {
    await using it = await Signed.open({ epochMs: 0 });
    await it.add(300);
    for (let day = 0; day < 3; day += 1) {
      await it.trail.tick();
      await it.add(10);
      await it.trail.sign();
    }
    expect(it.trail.keys.map(({ epoch }) => epoch)).toEqual([0, 1, 2, 3]);
    await assertSignedByEpochs(it);
    await it.stop();
    await it.start();
    expect(it.trail.keys.map(({ final }) => final !== undefined)).toEqual([
      true,
      true,
      true,
      false,
    ]);
  });

  test('with the signatures of others beside, which stay', async () => {
    await using it = await Signed.open();
    await it.add(3);
    const { size, note } = await it.trail.sign();
    const other = { name: 'witness.example', id: 7, bytes: Buffer.alloc(72, 1) };
    await it.trail.addSignatures(size, [other]);
    await it.trail.addSignatures(size, [other]);
    expect(it.trail.newest?.note.signatures).toHaveLength(note.signatures.length + 1);
    await expect(it.trail.addSignatures(size + 1, [other])).rejects.toThrow(
      failing('record.unknown'),
    );
    await it.stop();
    await it.start();
    const kept = (await it.notes()).filter((one) => one.size === size);
    expect(kept.at(-1)?.note.signatures.at(-1)).toEqual(other);
    expect(kept).toHaveLength(2);
  });

  test('and any record is proven to be in it', async () => {
    await using it = await Signed.open();
    await it.add(700);
    const { size, root } = await it.trail.sign();
    for await (const { record, hash } of it.log.read({ from: 250, to: 520 })) {
      const index = record.seq;
      const proof = await it.trail.tree.inclusion(index, size);
      const leaf = Buffer.from(hash, 'hex');
      expect(includes({ index, size, leaf, root, proof })).toBe(true);
    }
  });

  test('from its first start with a signer on, where it is older than that', async () => {
    await using dir = await tempDir();
    const audit = join(dir.path, 'audit');
    const plain = { dir: audit, version: '0.0.0', origin: 'orchestra/older', reserveBytes: 0 };
    const old = await openLog(plain);
    await old.appendAll(Array.from({ length: 400 }, (_, n) => noise(`${n}`)));
    await old.close();
    await using it = await Signed.open({}, dir.path);
    const { size, origin } = await it.trail.sign();
    expect([size, origin]).toEqual([402, 'orchestra/older']);
    expect(it.trail.keys).toEqual([{ epoch: 0, vkey: expect.any(String), seq: 401 }]);
  });
});
