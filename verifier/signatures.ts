import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Chain } from './chain.ts';
import type { Envelope } from './envelope.ts';
import { Epochs } from './epochs.ts';
import { readNotes } from './notes-file.ts';
import { cosignersOf, isQuorum, type Cosigned } from './policy.ts';
import type { Scan } from './scan.ts';
import { leavesBefore, readTile, tileName } from './tiles.ts';
import { parseSignedCheckpoint, type SignedCheckpoint } from './tlog/checkpoint.ts';
import { GrowingTree } from './tlog/growing-tree.ts';
import { hashBytes, leafHash } from './tlog/merkle.ts';
import { spellNote } from './tlog/note.ts';
import type { Trust } from './trust.ts';
import type { Finding, Reason } from './verdict.ts';

export type Witnessed = { size: number; by: Cosigned[] };

/** What signatures add to the chain; sizes are counts of records from the start of the log. */
export type Assurance = {
  /** Keys of the log, oldest first. */
  keys: { epoch: number; vkey: string; seq: number }[];
  /** The newest checkpoint that holds, and which epoch signed it. */
  signed: { size: number; epoch: number } | undefined;
  /** How many records somebody outside vouches for: a pinned key, or a checkpoint kept elsewhere. */
  trusted: number;
  witnessed: Witnessed | undefined;
  /** Notes that contradict each other, each signed by a key of the log. */
  evidence: string[];
};

/** Records at the end that no checkpoint covers yet: more than a log in use ever has. */
export const unsignedMax = 256;

const notesName = 'checkpoints.log';
const newestName = 'checkpoint';

/**
 * Compares a log with the checkpoints that were signed of it: own ones in its folder and those that
 * were kept elsewhere. First `gather`, then `see` every record in order, then `judge`.
 */
export class Signatures {
  readonly assurance: Assurance = {
    keys: [],
    signed: undefined,
    trusted: 0,
    witnessed: undefined,
    evidence: [],
  };
  readonly findings: Finding[] = [];
  readonly notes: string[] = [];
  readonly #trust: Trust;
  readonly #dir: string;
  readonly #upTo: number;
  readonly #epochs = new Epochs();
  /** Sizes that a checkpoint has, ascending, and the roots that the log gives for them. */
  #sizes: number[] = [];
  #roots: Buffer = Buffer.alloc(0);
  #next = 0;
  #tree: GrowingTree | undefined;
  #limit = 0;
  #newest: Buffer | undefined;
  #doctored: Finding | undefined;
  readonly #carried = new Map<number, string>();

  /** `dir` is where the checkpoints lie: the log's folder. */
  constructor(dir: string, trust: Trust, upTo: number | undefined) {
    this.#dir = dir;
    this.#trust = trust;
    this.#upTo = upTo ?? Infinity;
  }

  /** Anything that says that this log is one with signatures. */
  get isSigned(): boolean {
    return this.#sizes.length > 0 || this.#epochs.list.length > 0;
  }

  /** Whether every record from the start is in the tree, so that roots could be compared. */
  get hasTree(): boolean {
    return this.#tree !== undefined;
  }

  /** `first` is the number of the first record that is there; `whole` where what came before was in the folder. */
  async gather(first: number, whole: boolean): Promise<void> {
    const sizes = new Set<number>();
    for await (const { checkpoint } of this.#own(true)) sizes.add(checkpoint.size);
    for (const { size } of this.#trust.outside) sizes.add(size);
    this.#sizes = [...sizes].filter((size) => size <= this.#upTo).toSorted((a, b) => a - b);
    this.#roots = Buffer.alloc(this.#sizes.length * hashBytes);
    this.#tree = new GrowingTree((level, index, bytes) =>
      this.#compareTile(level, index, bytes, first),
    );
    this.#note();
    if (first === 0) return;
    if (whole) {
      for (const leaf of leavesBefore(this.#dir, first)) this.#add(leaf);
    }
    if (this.#tree.size < first) this.#tree = undefined;
  }

  see(record: Envelope, chain: Chain, first: number): void {
    this.#epochs.see(record, first);
    if (record.type === 'log.carried') {
      const { of, line } = record.data;
      if (typeof of === 'number' && of < first) {
        this.#carried.set(of, leafHash(Buffer.from(String(line))).toString('hex'));
      }
    }
    // A copied segment under any name turned out not to be the first part of the log.
    if (this.#tree?.size !== record.seq) this.#tree = undefined;
    if (this.#tree !== undefined) this.#add(chain.head);
  }

  /** What the signatures say of the part that the chain holds for. */
  async judge(scan: Scan): Promise<void> {
    const { seq: size } = scan.chain;
    const wrong = this.#epochs.settle();
    const { list } = this.#epochs;
    this.assurance.keys = list.map(({ epoch, key, seq }) => ({ epoch, vkey: key.vkey, seq }));
    if (wrong !== undefined) this.#add1('wrong_epoch_key', '', 0, wrong.seq, wrong.detail);
    if (this.#tree !== undefined) {
      await this.#judgeNotes(scan, wrong === undefined);
      this.#judgeCarried();
    }
    this.#judgePins(scan);
    if (this.#doctored !== undefined) this.findings.push(this.#doctored);
    this.assurance.trusted = Math.min(this.assurance.trusted, size);
  }

  #add(leaf: string): void {
    this.#tree?.add(leaf);
    this.#note();
  }

  #note(): void {
    if (this.#tree === undefined || this.#sizes[this.#next] !== this.#tree.size) return;
    this.#tree.root().copy(this.#roots, this.#next * hashBytes);
    this.#next += 1;
  }

  /** Undefined where the log does not reach so far. */
  #rootAt(size: number): Buffer | undefined {
    let [low, high] = [0, this.#next];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#sizes[middle] ?? 0) < size) low = middle + 1;
      else high = middle;
    }
    if (low >= this.#next || this.#sizes[low] !== size) return undefined;
    return this.#roots.subarray(low * hashBytes, (low + 1) * hashBytes);
  }

  /** The log's own checkpoints; findings about their form on the first way through only. */
  async *#own(
    isFirst: boolean,
  ): AsyncGenerator<{ checkpoint: SignedCheckpoint; file: string; offset: number }> {
    const path = join(this.#dir, notesName);
    const info = await stat(path).catch(() => undefined);
    if (isFirst) this.#limit = info?.isFile() === true ? info.size : 0;
    if (this.#limit > 0) {
      for await (const entry of readNotes(path, this.#limit)) {
        const { kind, offset } = entry;
        const checkpoint = kind === 'note' ? parseSignedCheckpoint(entry.bytes) : undefined;
        if (checkpoint !== undefined) {
          if (checkpoint.size <= this.#upTo) yield { checkpoint, file: notesName, offset };
          continue;
        }
        if (isFirst && kind === 'torn') {
          this.#add1('torn_tail', notesName, offset, 0, 'the last checkpoint is cut short');
        } else if (isFirst) {
          this.#add1('schema', notesName, offset, 0, 'what stands here is no checkpoint');
        }
        break;
      }
    }
    if (isFirst) this.#newest = await readFile(join(this.#dir, newestName)).catch(() => undefined);
    if (this.#newest === undefined) return;
    const checkpoint = parseSignedCheckpoint(this.#newest);
    if (checkpoint === undefined) {
      if (isFirst) this.#add1('schema', newestName, 0, 0, 'this is no checkpoint');
    } else if (checkpoint.size <= this.#upTo) {
      yield { checkpoint, file: newestName, offset: 0 };
    }
  }

  async #judgeNotes(scan: Scan, isSettled: boolean): Promise<void> {
    const { policy } = this.#trust;
    const finals = new Set<number>();
    const used = new Set<number>();
    const good = new Map<number, number>();
    let [voided, newest] = [0, -1];
    for await (const { checkpoint, file, offset } of this.#own(false)) {
      const { size, note } = checkpoint;
      const root = this.#rootAt(size);
      // What the chain does not reach is told by the chain's own failure.
      if (root === undefined && (scan.failure !== undefined || size <= scan.chain.seq)) continue;
      const judged = this.#judge(checkpoint, scan.first);
      if (judged === 'void') {
        voided += 1;
        continue;
      }
      const seq = Math.max(0, size - 1);
      if (judged !== 'signed' && judged !== 'unknown') {
        if (!isSettled) return;
        const detail =
          judged === 'bad_signature'
            ? `no key of the log signed the checkpoint of ${size} records`
            : `another key than that of its epoch signed the checkpoint of ${size} records`;
        this.#add1(judged, file, offset, seq, detail);
        return;
      }
      if (root === undefined) {
        const detail = `${file} holds a checkpoint of ${size} records, here are ${scan.chain.seq}`;
        this.#add1('rolled_back', file, offset, scan.chain.seq, detail);
        return;
      }
      if (!root.equals(checkpoint.root)) {
        await this.#contradicted(checkpoint, file, offset);
        return;
      }
      const cosigned = policy === undefined ? [] : cosignersOf(note, policy);
      if (cosigned === 'wrong') {
        const detail = `a witness did not sign the checkpoint of ${size} records as it says`;
        this.#add1('bad_signature', file, offset, seq, detail);
        return;
      }
      if (judged === 'unknown') continue;
      const epoch = this.#epochs.of(size);
      if (epoch !== undefined) {
        const next = this.#epochs.list.find((one) => one.seq + 1 === size);
        if (next !== undefined) finals.add(next.epoch);
        used.add(epoch.epoch);
        good.set(epoch.epoch, Math.max(good.get(epoch.epoch) ?? 0, size));
        if (size > newest) {
          newest = size;
          this.assurance.signed = { size, epoch: epoch.epoch };
        }
      }
      this.#witness(size, cosigned);
    }
    if (voided > 0) {
      this.notes.push(`${voided} checkpoints are of records that were given up, or were let go`);
    }
    for (const { epoch, seq, chained } of this.#epochs.list) {
      if (!chained || !used.has(epoch) || finals.has(epoch)) continue;
      const detail = `the key before did not sign for the key of epoch ${epoch}`;
      this.#add1('wrong_epoch_key', notesName, 0, seq, detail);
      return;
    }
    await this.#judgeOutside(scan);
    this.#reachOf(good);
  }

  #judge(checkpoint: SignedCheckpoint, first: number): ReturnType<Epochs['judge']> | 'unknown' {
    const [oldest] = this.#epochs.list;
    // A log without a word about its keys: what it holds is compared, and nothing follows from it.
    if (oldest === undefined) return 'unknown';
    const judged = this.#epochs.judge(checkpoint);
    const isBefore = first > 0 && oldest.epoch > 0 && checkpoint.size <= first;
    return judged !== 'signed' && isBefore ? 'void' : judged;
  }

  #witness(size: number, by: readonly Cosigned[]): void {
    const { policy } = this.#trust;
    if (policy === undefined || by.length === 0) return;
    const isEnough = isQuorum(policy, new Set(by.map(({ name }) => name)));
    if (isEnough && size >= (this.assurance.witnessed?.size ?? 0)) {
      this.assurance.witnessed = { size, by: [...by] };
    }
  }

  /** A signed state that the log does not give: a fork where it signed another one as well. */
  async #contradicted(checkpoint: SignedCheckpoint, file: string, offset: number): Promise<void> {
    const { size } = checkpoint;
    const other = await this.#signedFrom(size);
    const isFork = other !== undefined && this.#epochs.judge(checkpoint) === 'signed';
    if (isFork) this.assurance.evidence.push(spellNote(checkpoint.note), spellNote(other.note));
    const detail = isFork
      ? `two checkpoints that contradict each other were signed: of ${size} and of ${other.size} records`
      : `the records do not give the root that was signed for ${size} of them`;
    this.#add1(isFork ? 'fork' : 'hash_mismatch', file, offset, Math.max(0, size - 1), detail);
  }

  async #signedFrom(size: number): Promise<SignedCheckpoint | undefined> {
    for await (const { checkpoint } of this.#own(false)) {
      if (checkpoint.size < size || checkpoint.size === 0) continue;
      if (this.#rootAt(checkpoint.size)?.equals(checkpoint.root) !== true) continue;
      if (this.#epochs.judge(checkpoint) === 'signed') return checkpoint;
    }
    return undefined;
  }

  async #judgeOutside(scan: Scan): Promise<void> {
    for (const checkpoint of this.#trust.outside) {
      const { size } = checkpoint;
      if (size > this.#upTo) continue;
      const root = this.#rootAt(size);
      if (root === undefined) {
        if (scan.failure !== undefined) continue;
        const detail = `a checkpoint kept elsewhere is of ${size} records, here are ${scan.chain.seq}`;
        this.#add1('rolled_back', '', 0, scan.chain.seq, detail);
        return;
      }
      if (!root.equals(checkpoint.root)) {
        await this.#contradicted(checkpoint, '', 0);
        return;
      }
      this.assurance.trusted = Math.max(this.assurance.trusted, size);
    }
  }

  /** What the keys that are pinned vouch for, or those that a trusted state of the log names. */
  #reachOf(good: ReadonlyMap<number, number>): void {
    const { assurance } = this;
    const pinned = new Set(this.#trust.keys.map(({ vkey }) => vkey));
    const trusted = new Set(
      this.#epochs.list
        .filter(({ key, seq }) => pinned.has(key.vkey) || (seq >= 0 && seq < assurance.trusted))
        .map(({ epoch }) => epoch),
    );
    for (const epoch of this.#epochs.reached(trusted)) {
      assurance.trusted = Math.max(assurance.trusted, good.get(epoch) ?? 0);
    }
  }

  #judgePins(scan: Scan): void {
    const { keys } = this.#trust;
    if (keys.length === 0 || (scan.single && scan.first > 0)) return;
    if (scan.failure !== undefined || scan.chain.seq === scan.first) return;
    const known = new Set(this.#epochs.list.map(({ key }) => key.vkey));
    const missing = keys.filter(({ vkey }) => !known.has(vkey));
    if (missing.length === keys.length) {
      const seq = this.#epochs.list.find((one) => one.seq >= 0)?.seq ?? scan.first;
      this.#add1('wrong_epoch_key', '', 0, seq, 'the log knows no key that was pinned');
    } else if (
      this.#upTo === Infinity &&
      missing.some(({ name }) => name === this.#epochs.list[0]?.key.name)
    ) {
      const detail = 'the log ends before a key that was pinned';
      this.#add1('rolled_back', '', 0, scan.chain.seq, detail);
    }
  }

  #judgeCarried(): void {
    for (const [seq, leaf] of this.#carried) {
      const tile = readTile(this.#dir, 0, Math.floor(seq / 256));
      const at = (seq % 256) * hashBytes;
      if (tile?.toString('hex', at, at + hashBytes) === leaf) continue;
      const detail = `a record says that record ${seq}, which was let go, was another one`;
      this.#add1('hash_mismatch', tileName(0, Math.floor(seq / 256)), at, seq, detail);
      return;
    }
  }

  #compareTile(level: number, index: number, bytes: Buffer, first: number): void {
    const seq = index * 256 ** (level + 1);
    if (this.#doctored !== undefined || seq < first) return;
    const found = readTile(this.#dir, level, index);
    if (found === undefined || found.equals(bytes)) return;
    const offset = firstDifference(found, bytes);
    const detail = 'the tile is not what the records give';
    this.#doctored = { reason: 'hash_mismatch', file: tileName(level, index), offset, seq, detail };
  }

  #add1(reason: Reason, file: string, offset: number, seq: number, detail: string): void {
    this.findings.push({ reason, file, offset, seq, detail });
  }
}

function firstDifference(a: Buffer, b: Buffer): number {
  const at = a.findIndex((byte, index) => byte !== b[index]);
  return at === -1 ? a.length : at;
}
