import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { recordTypes, type AnyRecord, type RecordOf, type RecordType } from '#contract/records.ts';
import type { Checkpoints, EpochKey } from '#daemon/audit/tree/types.ts';
import type { Entry, Log } from '#daemon/audit/types.ts';
import { signNote, vkeyOf } from '#signer/sign-note.ts';
import { checkpointText, type SignedCheckpoint } from '#verifier/tlog/checkpoint.ts';
import { emptyRoot, leafHash, nodeHash, type Proof } from '#verifier/tlog/merkle.ts';
import type { NoteSignature } from '#verifier/tlog/note.ts';

/**
 * A log in memory with its tree and signed checkpoints, as slow and plain as RFC 6962 writes them:
 * what the real tree hands out is compared with it elsewhere.
 */
export class KnownLog implements Pick<Log, 'append' | 'size' | 'origin'> {
  readonly origin: string;
  readonly records: AnyRecord[] = [];
  readonly checkpoints: KnownCheckpoints;
  /** Told of each record, as a fold is. */
  onRecord: (record: AnyRecord) => void = () => {};
  now = Date.parse('2026-01-01T00:00:00Z');
  readonly leaves: Buffer[] = [];

  constructor(origin = 'example.org/orchestra/known') {
    this.origin = origin;
    this.checkpoints = new KnownCheckpoints(this);
  }

  get size(): number {
    return this.records.length;
  }

  append<T extends RecordType>(entry: Entry<T>): Promise<RecordOf<T>> {
    recordTypes[entry.type].data.parse(entry.data);
    const seq = this.records.length;
    const record = { ...entry, seq, ts: new Date(this.now).toISOString() };
    this.records.push(record as unknown as AnyRecord);
    this.leaves.push(leafHash(Buffer.from(JSON.stringify(record))));
    this.onRecord(record as unknown as AnyRecord);
    return Promise.resolve(record as unknown as RecordOf<T>);
  }

  /** Records that count for anchoring. */
  async grow(count: number): Promise<void> {
    for (let i = 0; i < count; i += 1) {
      await this.append({
        type: 'workspace.cleaned',
        data: { what: `something ${i}`, entries: i },
      });
    }
  }

  of<T extends RecordType>(type: T): RecordOf<T>[] {
    return this.records.filter((record) => record.type === type) as unknown as RecordOf<T>[];
  }
}

export class KnownCheckpoints implements Checkpoints {
  newest: SignedCheckpoint | undefined;
  readonly keys: EpochKey[];
  readonly witnessKey: string;
  readonly #log: KnownLog;
  readonly #secrets: { epoch: KeyObject; witness: KeyObject };
  readonly #listeners = new Set<(checkpoint: SignedCheckpoint) => void>();

  constructor(log: KnownLog, secrets = { epoch: newSecret(), witness: newSecret() }) {
    this.#log = log;
    this.#secrets = secrets;
    const { origin: name } = log;
    this.keys = [{ epoch: 0, vkey: vkeyOf({ name, secret: secrets.epoch }), seq: 0 }];
    this.witnessKey = vkeyOf({ name, secret: secrets.witness });
  }

  /** Another log that has the keys of this one: what a thief of them could make. */
  forkOf(log: KnownLog): KnownCheckpoints {
    return new KnownCheckpoints(log, this.#secrets);
  }

  sign(size = this.#log.size): Promise<SignedCheckpoint> {
    this.newest = this.at(size);
    for (const listener of this.#listeners) listener(this.newest);
    return Promise.resolve(this.newest);
  }

  at(size: number): SignedCheckpoint {
    const { origin: name, leaves } = this.#log;
    const checkpoint = { origin: name, size, root: rootOf(leaves.slice(0, size)) };
    const text = checkpointText(checkpoint);
    const { epoch, witness } = this.#secrets;
    const signatures = [epoch, witness].map((secret) => signNote(text, { name, secret }));
    return { ...checkpoint, note: { text, signatures } };
  }

  readonly tree = {
    rootAt: (size: number) => Promise.resolve(rootOf(this.#log.leaves.slice(0, size))),
    inclusion: (index: number, size: number) =>
      Promise.resolve(inclusionOf(index, this.#log.leaves.slice(0, size))),
    consistency: (from: number, to: number) =>
      Promise.resolve(consistencyOf(from, this.#log.leaves.slice(0, to))),
  };

  onSigned(listener: (checkpoint: SignedCheckpoint) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  addSignatures(size: number, lines: readonly NoteSignature[]): Promise<void> {
    if (this.newest?.size === size) this.newest.note.signatures.push(...lines);
    return Promise.resolve();
  }

  rotate(): Promise<void> {
    return Promise.reject(new Error('not here'));
  }
}

export function newSecret(): KeyObject {
  return generateKeyPairSync('ed25519').privateKey;
}

function rootOf(leaves: readonly Buffer[]): Buffer {
  const [only] = leaves;
  if (only === undefined) return emptyRoot();
  if (leaves.length === 1) return only;
  const at = splitOf(leaves.length);
  return nodeHash(rootOf(leaves.slice(0, at)), rootOf(leaves.slice(at)));
}

function inclusionOf(index: number, leaves: readonly Buffer[]): Proof {
  if (leaves.length <= 1) return [];
  const at = splitOf(leaves.length);
  const [left, right] = [leaves.slice(0, at), leaves.slice(at)];
  return index < at
    ? [...inclusionOf(index, left), rootOf(right)]
    : [...inclusionOf(index - at, right), rootOf(left)];
}

function consistencyOf(from: number, leaves: readonly Buffer[], isWhole = true): Proof {
  if (from === 0) return [];
  if (from === leaves.length) return isWhole ? [] : [rootOf(leaves)];
  const at = splitOf(leaves.length);
  const [left, right] = [leaves.slice(0, at), leaves.slice(at)];
  return from <= at
    ? [...consistencyOf(from, left, isWhole), rootOf(right)]
    : [...consistencyOf(from - at, right, false), rootOf(left)];
}

/** The largest power of two below. */
function splitOf(size: number): number {
  return 2 ** (Math.ceil(Math.log2(size)) - 1);
}
