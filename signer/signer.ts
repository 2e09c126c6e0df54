import type { KeyObject } from 'node:crypto';
import { chmod, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { checkpointText, parseProof } from '#verifier/tlog/checkpoint.ts';
import { emptyRoot, hashBytes, includes, isConsistent, leafHash } from '#verifier/tlog/merkle.ts';
import { fromBase64, spellNote } from '#verifier/tlog/note.ts';
import { KeyFiles } from './key-files.ts';
import { lockState } from './lock.ts';
import type { Answers, Continuation, GoneKey, Question, Refusal, SignerState } from './protocol.ts';
import { signNote, vkeyOf } from './sign-note.ts';
import { readState, writeState, type Kept } from './state-file.ts';

/** Something that the signer does not do, and why; nothing has changed. */
export class Refused extends Error {
  readonly refusal: Refusal;

  constructor(refusal: Refusal, why: string) {
    super(why);
    this.refusal = refusal;
  }
}

export type SignerOptions = {
  /** The signer's own folder, made where it is not there. */
  dir: string;
  /** Called between the steps of which one may be done and the next one not. For tests. */
  onStep?: (step: Step) => void;
};
export type Step =
  | 'key made'
  | 'state written'
  | 'next key made'
  | 'next key noted'
  | 'rotation noted'
  | 'old key destroyed'
  | 'signature noted';

/**
 * Signs the states of one log, each only with the proof that it continues the one before. What was
 * signed is durable before the signature leaves, so that a fork is refused after a crash as well.
 * The key of an epoch signs until the log itself names its successor, and is destroyed then.
 *
 * Calls are answered one after the other.
 */
export class Signer implements Disposable {
  readonly #path: string;
  readonly #files: KeyFiles;
  readonly #lock: Disposable;
  readonly #onStep: (step: Step) => void;
  #kept: Kept | undefined;
  #key: KeyObject | undefined;
  #next: KeyObject | undefined;
  /** Signs beside the key of the epoch, and outlives it: see docs/decisions/0024. */
  #forWitnesses: KeyObject | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  private constructor({ dir, onStep }: SignerOptions, lock: Disposable) {
    this.#path = join(dir, 'state.json');
    this.#files = new KeyFiles(join(dir, 'keys'));
    this.#lock = lock;
    this.#onStep = onStep ?? (() => {});
  }

  /** Throws where another one has this state, or where its files are not whole. */
  static async open(options: SignerOptions): Promise<Signer> {
    await mkdir(options.dir, { recursive: true, mode: 0o700 });
    await chmod(options.dir, 0o700);
    const lock = lockState(options.dir);
    try {
      const signer = new Signer(options, lock);
      await signer.#load();
      return signer;
    } catch (error) {
      lock[Symbol.dispose]();
      throw error;
    }
  }

  ask<Q extends Question>(question: Q): Promise<Answers[Q['op']]> {
    const answer = this.#turn.then(() => this.#answer(question));
    this.#turn = answer.catch(() => {});
    return answer as Promise<Answers[Q['op']]>;
  }

  /**
   * For a log that lost records that were signed: the key is given up, and the next one signs
   * whatever the log is now. Nobody can ask for it from outside.
   */
  giveUp(): Promise<SignerState> {
    const done = this.#turn.then(async () => {
      const { origin, epoch, size, root, lost } = this.#stateOf();
      const vkey = this.#vkey();
      // Done before: the new key has signed nothing yet.
      if (size === 0 && lost !== undefined) return this.#describe();
      const next = epoch + 1;
      const key = this.#next ?? (await this.#files.make(next));
      this.#onStep('next key made');
      await this.#move(
        {
          format: 1,
          origin,
          epoch: next,
          size: 0,
          root: emptyRoot().toString('base64'),
          lost: { vkey, size, root },
        },
        key,
      );
      return this.#describe();
    });
    this.#turn = done.catch(() => {});
    return done;
  }

  [Symbol.dispose](): void {
    this.#lock[Symbol.dispose]();
  }

  async #load(): Promise<void> {
    await this.#files.prepare();
    this.#kept = await readState(this.#path);
    const kept = this.#kept;
    const wanted = kept === undefined ? [] : [kept.epoch];
    if (kept?.pending !== undefined) wanted.push(kept.pending.epoch);
    const epochs = await this.#files.epochs();
    if (kept === undefined && epochs.some((epoch) => epoch > 0)) {
      throw new Error('there are keys here, and what they signed is not known any more');
    }
    // What a crash left: a key that nothing was signed with yet, or one that was to be destroyed.
    for (const epoch of epochs) if (!wanted.includes(epoch)) await this.#files.destroy(epoch);
    if (kept === undefined) return;
    this.#key = await this.#files.read(kept.epoch);
    this.#forWitnesses = await this.#keyForWitnesses();
    if (kept.pending !== undefined) this.#next = await this.#files.read(kept.pending.epoch);
  }

  async #answer(question: Question): Promise<object> {
    switch (question.op) {
      case 'hello':
        return this.#kept === undefined ? {} : { state: this.#describe() };
      case 'init':
        return this.#init(question.origin, question.follows);
      case 'sign':
        return this.#sign(question);
      case 'prepare':
        return this.#prepare(question.origin);
      case 'rotate':
        return this.#rotate(question);
    }
  }

  async #init(origin: string, follows?: GoneKey): Promise<Answers['init']> {
    if (this.#kept === undefined) {
      const epoch = follows === undefined ? 0 : follows.epoch + 1;
      const key = await this.#files.make(epoch);
      this.#onStep('key made');
      this.#forWitnesses = await this.#keyForWitnesses();
      const root = emptyRoot().toString('base64');
      const kept: Kept = { format: 1, origin, epoch, size: 0, root };
      if (follows !== undefined) {
        kept.lost = { vkey: follows.vkey, size: follows.size, root: follows.root };
      }
      await writeState(this.#path, kept);
      this.#onStep('state written');
      this.#kept = kept;
      this.#key = key;
    }
    this.#assertOrigin(origin);
    return { state: this.#describe() };
  }

  async #sign(to: Continuation): Promise<Answers['sign']> {
    const kept = this.#stateOf();
    this.#assertContinues(kept, to);
    // A state is signed once, and where an old key signed it last, not by the one after it again.
    const before = kept.last_note ?? kept.final_note;
    if (kept.size === to.size && before !== undefined) return { note: before };
    const note = this.#noteOf(to);
    const { size, root } = to;
    const signed: Kept = { ...kept, size, root, last_note: note };
    await writeState(this.#path, signed);
    this.#kept = signed;
    this.#onStep('signature noted');
    return { note };
  }

  async #prepare(origin: string): Promise<Answers['prepare']> {
    const kept = this.#stateOf();
    this.#assertOrigin(origin);
    if (this.#next === undefined) {
      const epoch = kept.epoch + 1;
      const key = await this.#files.make(epoch);
      this.#onStep('next key made');
      const prepared = { ...kept, pending: { epoch } };
      await writeState(this.#path, prepared);
      this.#kept = prepared;
      this.#next = key;
      this.#onStep('next key noted');
    }
    return { vkey: vkeyOf({ name: kept.origin, secret: this.#next }) };
  }

  /** The last signature of a key is for the tree that ends with the record of its successor. */
  async #rotate(
    question: Continuation & { record: string; inclusion: string[] },
  ): Promise<Answers['rotate']> {
    const kept = this.#stateOf();
    const next = this.#next;
    if (next === undefined) throw new Refused('no_pending', 'no key is ready to follow');
    this.#assertContinues(kept, question);
    const { size, root, record, inclusion } = question;
    const nextVkey = vkeyOf({ name: kept.origin, secret: next });
    const said = { epoch: kept.epoch + 1, vkey: nextVkey, previous: this.#vkey() };
    if (!namesSuccessor(record, { ...said, seq: size - 1 })) {
      throw new Refused('bad_record', 'the record does not name the key that is ready to follow');
    }
    const claim = { index: size - 1, size, leaf: leafHash(Buffer.from(record)) };
    const proof = parseProof(inclusion);
    if (!proof || !includes({ ...claim, root: Buffer.from(root, 'base64'), proof })) {
      throw new Refused('bad_record', 'the record is not the last one of the tree');
    }
    const note = this.#noteOf(question);
    const { format, origin } = kept;
    const epoch = kept.epoch + 1;
    await this.#move({ format, origin, epoch, size, root, final_note: note }, next);
    return { note };
  }

  /** From one key to the next: noted first, so that a crash finds which one is to be destroyed. */
  async #move(kept: Kept, key: KeyObject): Promise<void> {
    const old = this.#stateOf().epoch;
    await writeState(this.#path, kept);
    this.#kept = kept;
    this.#key = key;
    this.#next = undefined;
    this.#onStep('rotation noted');
    await this.#files.destroy(old);
    this.#onStep('old key destroyed');
  }

  #assertContinues(kept: Kept, { origin, size, root, from, proof: coded }: Continuation): void {
    this.#assertOrigin(origin);
    if (from !== kept.size) {
      throw new Refused('not_from_last', `the last that was signed has ${kept.size} records`);
    }
    if (size < kept.size || size === 0) {
      throw new Refused('shrinks', `${kept.size} records were signed, never fewer again`);
    }
    const toRoot = fromBase64(root);
    const proof = parseProof(coded);
    const fromRoot = Buffer.from(kept.root, 'base64');
    const isProven =
      toRoot?.length === hashBytes &&
      proof !== undefined &&
      isConsistent({ from, to: size, fromRoot, toRoot, proof });
    if (!isProven) {
      throw new Refused('bad_proof', `not proven to continue the ${kept.size} records of before`);
    }
  }

  #assertOrigin(origin: string): void {
    const own = this.#stateOf().origin;
    if (origin !== own) throw new Refused('other_origin', `this signer signs for ${own} only`);
  }

  #noteOf({ size, root }: { size: number; root: string }): string {
    const { origin } = this.#stateOf();
    const text = checkpointText({ origin, size, root: Buffer.from(root, 'base64') });
    const keys = [this.#noteKey(), this.#witnessedKey()];
    return spellNote({ text, signatures: keys.map((key) => signNote(text, key)) });
  }

  async #keyForWitnesses(): Promise<KeyObject> {
    const isThere = await this.#files.has('witness');
    return isThere ? this.#files.read('witness') : this.#files.make('witness');
  }

  #describe(): SignerState {
    const { origin, epoch, size, root, last_note, final_note, lost } = this.#stateOf();
    return {
      origin,
      epoch,
      vkey: this.#vkey(),
      witness_vkey: vkeyOf(this.#witnessedKey()),
      size,
      root,
      ...(last_note === undefined ? {} : { last_note }),
      ...(final_note === undefined ? {} : { final_note }),
      ...(lost === undefined ? {} : { lost }),
      ...(this.#next === undefined
        ? {}
        : { pending: { epoch: epoch + 1, vkey: vkeyOf({ name: origin, secret: this.#next }) } }),
    };
  }

  #vkey(): string {
    return vkeyOf(this.#noteKey());
  }

  #noteKey() {
    if (this.#key === undefined) throw new Refused('no_state', 'this signer has no key yet');
    return { name: this.#stateOf().origin, secret: this.#key };
  }

  #witnessedKey() {
    if (this.#forWitnesses === undefined) throw new Refused('no_state', 'there is no key yet');
    return { name: this.#stateOf().origin, secret: this.#forWitnesses };
  }

  #stateOf(): Kept {
    if (this.#kept === undefined) throw new Refused('no_state', 'this signer knows no log yet');
    return this.#kept;
  }
}

function namesSuccessor(
  record: string,
  { epoch, vkey, previous, seq }: { epoch: number; vkey: string; previous: string; seq: number },
): boolean {
  try {
    const said = JSON.parse(record) as {
      type?: unknown;
      seq?: unknown;
      data?: { epoch?: unknown; vkey?: unknown; previous?: unknown };
    };
    const { type, data } = said;
    return (
      type === 'key.rotated' &&
      said.seq === seq &&
      data?.epoch === epoch &&
      data.vkey === vkey &&
      data.previous === previous
    );
  } catch {
    return false;
  }
}
