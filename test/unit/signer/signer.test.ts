import { chmod, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { GrowingTree } from '#daemon/audit/tree/growing-tree.ts';
import { TileFiles } from '#daemon/audit/tree/tile-files.ts';
import type { Continuation, Reply, SignerState } from '#signer/protocol.ts';
import { serve } from '#signer/serve.ts';
import { Signer, type SignerOptions, type Step } from '#signer/signer.ts';
import { tempDir } from '#test/support/temp-dir.ts';
import { parseSignedCheckpoint, spellProof } from '#verifier/tlog/checkpoint.ts';
import { leafHash } from '#verifier/tlog/merkle.ts';
import { parseVkey, signedBy } from '#verifier/tlog/note.ts';

const origin = 'host/orchestra/test';

/** A log of lines with its tree, and a signer for it in a folder of its own. */
class World implements AsyncDisposable {
  readonly dir: string;
  readonly lines: string[] = [];
  readonly tree: GrowingTree;
  signer!: Signer;
  readonly #gone: () => PromiseLike<void>;

  private constructor(dir: string, gone: () => PromiseLike<void>) {
    this.dir = dir;
    this.#gone = gone;
    this.tree = new GrowingTree({ files: new TileFiles(join(dir, 'log')) });
    this.tree.readFrom((from, to) =>
      Promise.resolve(this.lines.slice(from, to).map((line) => leafHash(Buffer.from(line)))),
    );
    this.tree.begin(undefined, 0);
  }

  static async open(records = 0): Promise<World> {
    const temp = await tempDir();
    const world = new World(temp.path, () => temp[Symbol.asyncDispose]());
    await world.tree.finish();
    await world.reopen();
    await world.signer.ask({ op: 'init', origin });
    for (let n = 0; n < records; n += 1) world.add();
    return world;
  }

  async reopen(onStep?: SignerOptions['onStep']): Promise<void> {
    this.signer?.[Symbol.dispose]();
    const dir = join(this.dir, 'signer');
    this.signer = await Signer.open({ dir, ...(onStep === undefined ? {} : { onStep }) });
  }

  add(line = `line ${this.lines.length}`): void {
    this.lines.push(line);
    this.tree.add(leafHash(Buffer.from(line)).toString('hex'));
  }

  async state(): Promise<SignerState> {
    const { state } = await this.signer.ask({ op: 'hello' });
    if (state === undefined) throw new Error('the signer has no state');
    return state;
  }

  async continuation(from: number, size = this.lines.length): Promise<Continuation> {
    const root = (await this.tree.rootAt(size)).toString('base64');
    return { origin, size, root, from, proof: spellProof(await this.tree.consistency(from, size)) };
  }

  async sign(): Promise<string> {
    const to = await this.continuation((await this.state()).size);
    return (await this.signer.ask({ op: 'sign', ...to })).note;
  }

  /** The record that names the next key, and everything that goes with it. */
  async rotation(vkey?: string) {
    const next = vkey ?? (await this.signer.ask({ op: 'prepare', origin })).vkey;
    const { epoch, vkey: previous, size } = await this.state();
    const seq = this.lines.length;
    const data = { epoch: epoch + 1, vkey: next, previous };
    this.add(JSON.stringify({ data, seq, type: 'key.rotated' }));
    return {
      op: 'rotate',
      ...(await this.continuation(size)),
      record: this.lines[seq] ?? '',
      inclusion: spellProof(await this.tree.inclusion(seq, seq + 1)),
    } as const;
  }

  keys(): Promise<string[]> {
    return readdir(join(this.dir, 'signer', 'keys'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.signer[Symbol.dispose]();
    await this.tree.settle();
    await this.#gone();
  }
}

const refusing = (refusal: string) => expect.objectContaining({ refusal });

function isBy(note: string, vkey: string): boolean {
  const key = parseVkey(vkey);
  const checkpoint = parseSignedCheckpoint(note);
  return key !== undefined && checkpoint !== undefined && signedBy(checkpoint.note, key).signed;
}

describe('a signer refuses', () => {
  test('another tree of the size that it signed, and goes on with the true one', async () => {
    await using world = await World.open(10);
    await world.sign();
    const root = Buffer.alloc(32, 1).toString('base64');
    const forked = { ...(await world.continuation(10)), root };
    await expect(world.signer.ask({ op: 'sign', ...forked })).rejects.toThrow(
      refusing('bad_proof'),
    );
    world.add();
    expect(await world.sign()).toContain('\n11\n');
  });

  test('fewer records, and a start from another size than the last, also after it was restarted', async () => {
    await using world = await World.open(10);
    await world.sign();
    await world.reopen();
    const fewer = { ...(await world.continuation(8, 8)), from: 10 };
    await expect(world.signer.ask({ op: 'sign', ...fewer })).rejects.toThrow(refusing('shrinks'));
    const elsewhere = await world.continuation(8, 10);
    await expect(world.signer.ask({ op: 'sign', ...elsewhere })).rejects.toThrow(
      refusing('not_from_last'),
    );
    const anew = await world.continuation(0);
    await expect(world.signer.ask({ op: 'sign', ...anew })).rejects.toThrow(
      refusing('not_from_last'),
    );
  });

  test('the log of another origin, and a second one of its own', async () => {
    await using world = await World.open(3);
    const other = { ...(await world.continuation(0)), origin: 'host/orchestra/other' };
    await expect(world.signer.ask({ op: 'sign', ...other })).rejects.toThrow(
      refusing('other_origin'),
    );
    await expect(world.signer.ask({ op: 'init', origin: 'another' })).rejects.toThrow(
      refusing('other_origin'),
    );
    await expect(world.signer.ask({ op: 'prepare', origin: 'another' })).rejects.toThrow(
      refusing('other_origin'),
    );
  });

  test('any proof that was changed, cut, or is of another log', async () => {
    await using world = await World.open(300);
    await world.sign();
    for (let n = 0; n < 77; n += 1) world.add();
    const good = await world.continuation(300);
    await fc.assert(
      fc.asyncProperty(fc.nat(good.proof.length - 1), fc.nat(31), async (at, byte) => {
        const hashes = good.proof.map((one) => Buffer.from(one, 'base64'));
        const changed = hashes[at] ?? Buffer.alloc(0);
        changed.writeUInt8(changed.readUInt8(byte) ^ 4, byte);
        const proof = spellProof(hashes);
        const doctored = { op: 'sign', ...good, proof } as const;
        await expect(world.signer.ask(doctored)).rejects.toThrow(refusing('bad_proof'));
      }),
      { numRuns: 20 },
    );
    for (const proof of [[], good.proof.slice(1), [...good.proof, ...good.proof]]) {
      const question = { op: 'sign', ...good, proof } as const;
      await expect(world.signer.ask(question)).rejects.toThrow(refusing('bad_proof'));
    }
    expect((await world.signer.ask({ op: 'sign', ...good })).note).toContain('\n377\n');
  });

  test('to give its key up for a record that the log does not end with', async () => {
    await using world = await World.open(5);
    await world.sign();
    await expect(world.signer.ask(await world.rotation('made+up+key'))).rejects.toThrow(
      refusing('no_pending'),
    );
    await world.signer.ask({ op: 'prepare', origin });
    await expect(world.signer.ask(await world.rotation('made+up+key'))).rejects.toThrow(
      refusing('bad_record'),
    );
    const right = await world.rotation();
    const record = right.record.replace('key.rotated', 'key.rotate');
    await expect(world.signer.ask({ ...right, record })).rejects.toThrow(refusing('bad_record'));
    const inclusion = right.inclusion.slice(1);
    await expect(world.signer.ask({ ...right, inclusion })).rejects.toThrow(refusing('bad_record'));
    world.add();
    const late = { ...right, ...(await world.continuation(right.from)) };
    await expect(world.signer.ask(late)).rejects.toThrow(refusing('bad_record'));
    expect((await world.signer.ask(right)).note).toContain(`\n${right.size}\n`);
  });

  test('to have the state that the old key signed last signed by the new one as well', async () => {
    await using world = await World.open(5);
    await world.sign();
    const { note } = await world.signer.ask(await world.rotation());
    const { vkey } = await world.state();
    const again = await world.sign();
    expect(again).toBe(note);
    expect(isBy(again, vkey)).toBe(false);
    world.add();
    expect(isBy(await world.sign(), vkey)).toBe(true);
  });

  test('to share its state', async () => {
    await using world = await World.open(1);
    await expect(Signer.open({ dir: join(world.dir, 'signer') })).rejects.toThrow(
      'another signer has the state',
    );
  });

  test('to begin anew beside keys whose signatures it does not remember', async () => {
    await using world = await World.open(1);
    await world.sign();
    await world.signer.ask(await world.rotation());
    world.signer[Symbol.dispose]();
    await rm(join(world.dir, 'signer', 'state.json'));
    await expect(Signer.open({ dir: join(world.dir, 'signer') })).rejects.toThrow('not known any');
    await writeFile(join(world.dir, 'signer', 'state.json'), '{"format":1,"size":"0"}');
    await expect(Signer.open({ dir: join(world.dir, 'signer') })).rejects.toThrow('not the state');
  });

  test('a key that others can read', async () => {
    await using world = await World.open(1);
    const key = join(world.dir, 'signer', 'keys', '0.pem');
    await chmod(key, 0o644);
    await expect(world.reopen()).rejects.toThrow('mode 0600');
    await chmod(key, 0o600);
    await world.reopen();
  });
});

describe('a crash', () => {
  /** A signer that dies right after a step; the one after it finds what is on disk. */
  async function dyingAt(world: World, step: Step, act: () => Promise<unknown>): Promise<void> {
    await world.reopen((each) => {
      if (each === step) throw new Error('killed');
    });
    await expect(act()).rejects.toThrow('killed');
    await world.reopen();
  }

  test('in the middle of a key leaves half of one that nobody takes for a key', async () => {
    await using world = await World.open();
    world.signer[Symbol.dispose]();
    const dir = join(world.dir, 'signer');
    await rm(join(dir, 'state.json'));
    await rm(join(dir, 'keys'), { recursive: true });
    await mkdir(join(dir, 'keys'), { mode: 0o700 });
    for (const name of ['0', 'witness']) await writeFile(join(dir, 'keys', `${name}.pem.new`), '');
    await world.reopen();
    await world.signer.ask({ op: 'init', origin });
    world.add();
    expect(await world.sign()).toContain('\n1\n');
    expect((await world.keys()).toSorted()).toEqual(['0.pem', 'witness.pem']);
  });

  test('between a signature and its answer leaves one outcome: that tree and no other', async () => {
    await using world = await World.open(10);
    const to = await world.continuation(0);
    await dyingAt(world, 'signature noted', () => world.signer.ask({ op: 'sign', ...to }));
    const { size, last_note } = await world.state();
    expect(size).toBe(10);
    expect(parseSignedCheckpoint(last_note ?? '')?.size).toBe(10);
    expect(await world.sign()).toBe(last_note);
  });

  test.each<Step>(['key made', 'state written'])(
    'in the first start (%s) leaves one key that signs',
    async (step) => {
      await using world = await World.open(2);
      world.signer[Symbol.dispose]();
      await rm(join(world.dir, 'signer'), { recursive: true });
      await dyingAt(world, step, () => world.signer.ask({ op: 'init', origin }));
      const { state } = await world.signer.ask({ op: 'init', origin });
      expect(await world.keys()).toEqual(['0.pem', 'witness.pem']);
      expect(isBy(await world.sign(), state.vkey)).toBe(true);
    },
  );

  test.each<Step>(['next key made', 'next key noted'])(
    'while the next key is prepared (%s) leaves none or one that is ready',
    async (step) => {
      await using world = await World.open(2);
      await world.sign();
      await dyingAt(world, step, () => world.signer.ask({ op: 'prepare', origin }));
      const { pending } = await world.state();
      expect(pending === undefined).toBe(step === 'next key made');
      const rotation = await world.rotation();
      if (pending !== undefined) expect(rotation.record).toContain(pending.vkey);
      await world.signer.ask(rotation);
      expect(await world.keys()).toEqual(['1.pem', 'witness.pem']);
    },
  );

  test.each<Step>(['rotation noted', 'old key destroyed'])(
    'as one key follows the other (%s) leaves the new one alone, and the last word of the old',
    async (step) => {
      await using world = await World.open(7);
      await world.sign();
      const { vkey: old } = await world.state();
      const rotation = await world.rotation();
      await dyingAt(world, step, () => world.signer.ask(rotation));
      const state = await world.state();
      expect(await world.keys()).toEqual(['1.pem', 'witness.pem']);
      expect(state).toMatchObject({ epoch: 1, size: rotation.size });
      expect(isBy(state.final_note ?? '', old)).toBe(true);
      world.add();
      const note = await world.sign();
      expect([isBy(note, state.vkey), isBy(note, old)]).toEqual([true, false]);
    },
  );
});

describe('a signer', () => {
  test('signs each continuation with the key of its epoch, and the last word of one names the next', async () => {
    await using world = await World.open(3);
    const first = await world.state();
    expect(isBy(await world.sign(), first.vkey)).toBe(true);
    const rotation = await world.rotation();
    const { note } = await world.signer.ask(rotation);
    expect(isBy(note, first.vkey)).toBe(true);
    const second = await world.state();
    expect(second).toMatchObject({ epoch: 1, size: rotation.size, final_note: note });
    expect(second.vkey).not.toBe(first.vkey);
    const kept = await readFile(join(world.dir, 'signer', 'state.json'), 'utf8');
    expect(kept).not.toContain('PRIVATE');
  });

  test('gives its key up for a log that lost records, and says what that one had signed', async () => {
    await using world = await World.open(9);
    await world.sign();
    const before = await world.state();
    const after = await world.signer.giveUp();
    const { vkey, size, root } = before;
    expect(after).toMatchObject({ epoch: 1, size: 0, lost: { vkey, size, root } });
    expect(await world.signer.giveUp()).toEqual(after);
    expect(await world.keys()).toEqual(['1.pem', 'witness.pem']);
  });
});

describe('a peer', () => {
  async function asked(world: World, lines: readonly string[]): Promise<Reply[]> {
    const [input, output] = [new PassThrough(), new PassThrough()];
    const served = serve(world.signer, input, output);
    input.end(lines.map((line) => `${line}\n`).join(''));
    await served;
    output.end();
    const text = (await Array.fromAsync(output)).join('');
    return text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Reply);
  }

  test.each([
    'nothing',
    '{}',
    '[]',
    'null',
    '{"id":1,"op":"toString"}',
    '{"id":1,"op":"sign","origin":"a","size":-1,"root":"","from":0,"proof":[]}',
    '{"id":1,"op":"sign","origin":"a b","size":1,"root":"","from":0,"proof":[]}',
    '{"id":1,"op":"giveUp"}',
    `{"id":1,"op":"hello","more":"${'x'.repeat(200_000)}"}`,
  ])('that says %.60s is answered once and left', async (line) => {
    await using world = await World.open(1);
    const replies = await asked(world, [line, '{"id":2,"op":"hello"}']);
    expect(replies).toEqual([expect.objectContaining({ refused: 'malformed' })]);
  });

  test('gets its answers in the order of its questions, and no as an answer', async () => {
    await using world = await World.open(4);
    const to = { op: 'sign', ...(await world.continuation(0)) };
    const questions = [{ op: 'hello' }, to, to, { op: 'prepare', origin: 'another' }];
    const lines = questions.map((question, id) => JSON.stringify({ id, ...question }));
    const replies = await asked(world, lines);
    expect(replies.map(({ id }) => id)).toEqual([0, 1, 2, 3]);
    expect(replies.map((reply) => ('refused' in reply ? reply.refused : 'done'))).toEqual([
      'done',
      'done',
      'not_from_last',
      'other_origin',
    ]);
  });
});
