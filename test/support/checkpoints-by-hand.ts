import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Checkpoints, EpochKey } from '#daemon/audit/tree/types.ts';
import type { Log } from '#daemon/audit/types.ts';
import { checkpointText, type SignedCheckpoint } from '#verifier/tlog/checkpoint.ts';
import { nodeHash, type Proof } from '#verifier/tlog/merkle.ts';
import { keyId, spellNote, spellVkey } from '#verifier/tlog/note.ts';

type Key = { secret: KeyObject; raw: Buffer; vkey: string };

/**
 * Checkpoints over a log, kept in memory and worked out the long way, as RFC 6962 defines them: what
 * is tested with it owes nothing to the daemon's tree.
 */
export class CheckpointsByHand implements Checkpoints {
  newest: SignedCheckpoint | undefined;
  readonly keys: EpochKey[] = [];
  readonly tree: Checkpoints['tree'] = {
    rootAt: async (size) => root(await this.#leaves(size)),
    inclusion: async (index, size) => path(index, await this.#leaves(size)),
    consistency: async (from, to) => subproof(from, await this.#leaves(to), true),
  };
  readonly #log: Log;
  readonly #dir: string;
  #key: Key;

  constructor({ log, dir }: { log: Log; dir: string }) {
    this.#log = log;
    this.#dir = dir;
    this.#key = newKey(log.origin);
  }

  get vkey(): string {
    return this.#key.vkey;
  }

  /** The record of the first key; it need not be the second of the log. */
  async begin(): Promise<void> {
    const { vkey } = this.#key;
    const { seq } = await this.#log.append({ type: 'key.created', data: { epoch: 0, vkey } });
    this.keys.push({ epoch: 0, vkey, seq });
  }

  async sign(size = this.#log.size): Promise<SignedCheckpoint> {
    if (this.newest !== undefined && this.newest.size >= size) return this.newest;
    const all = this.#log.size;
    const checkpoint = { origin: this.#log.origin, size: all, root: await this.tree.rootAt(all) };
    const text = checkpointText(checkpoint);
    const { secret, raw } = this.#key;
    const bytes = sign(null, Buffer.from(text), secret);
    const id = keyId(checkpoint.origin, 'ed25519', raw);
    const note = { text, signatures: [{ name: checkpoint.origin, id, bytes }] };
    this.newest = { ...checkpoint, note };
    await appendFile(join(this.#dir, 'checkpoints.log'), `${spellNote(note)}\n`);
    return this.newest;
  }

  async rotate(): Promise<void> {
    const next = newKey(this.#log.origin);
    const epoch = this.keys.length;
    const { seq } = await this.#log.append({
      type: 'key.rotated',
      data: { epoch, vkey: next.vkey, previous: this.#key.vkey },
    });
    await this.sign(seq + 1);
    this.#key = next;
    this.keys.push({ epoch, vkey: next.vkey, seq });
  }

  onSigned(): () => void {
    return () => {};
  }

  addSignatures(): Promise<void> {
    return Promise.resolve();
  }

  async #leaves(size: number): Promise<Buffer[]> {
    const lines = await Array.fromAsync(this.#log.read({ to: size }));
    return lines.map(({ hash }) => Buffer.from(hash, 'hex'));
  }
}

function newKey(name: string): Key {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const raw = publicKey.export({ format: 'der', type: 'spki' }).subarray(12);
  return { secret: privateKey, raw, vkey: spellVkey(name, 'ed25519', raw) };
}

/** The largest power of two below `n`. */
function split(n: number): number {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}

function root(leaves: readonly Buffer[]): Buffer {
  const [only] = leaves;
  if (leaves.length <= 1) return only ?? Buffer.alloc(32);
  const k = split(leaves.length);
  return nodeHash(root(leaves.slice(0, k)), root(leaves.slice(k)));
}

function path(index: number, leaves: readonly Buffer[]): Proof {
  if (leaves.length <= 1) return [];
  const k = split(leaves.length);
  const [left, right] = [leaves.slice(0, k), leaves.slice(k)];
  return index < k ? [...path(index, left), root(right)] : [...path(index - k, right), root(left)];
}

function subproof(from: number, leaves: readonly Buffer[], whole: boolean): Proof {
  if (from === leaves.length) return whole ? [] : [root(leaves)];
  const k = split(leaves.length);
  const [left, right] = [leaves.slice(0, k), leaves.slice(k)];
  return from <= k
    ? [...subproof(from, left, whole), root(right)]
    : [...subproof(from - k, right, false), root(left)];
}
