import type { Envelope } from './envelope.ts';
import type { SignedCheckpoint } from './tlog/checkpoint.ts';
import { parseVkey, signedBy, type VerifierKey } from './tlog/note.ts';

/** A key of the log and the record that made it known. */
export type Epoch = {
  epoch: number;
  seq: number;
  key: VerifierKey;
  /** The key before it vouches for it; not so for the first, nor after one that was given up. */
  chained: boolean;
  /** Where the key before was given up with a loss: records that were left then. */
  found: number | undefined;
};

type KeyRecord = {
  type: string;
  seq: number;
  data: Record<string, unknown>;
  /** What was left at the last loss that was acknowledged before it. */
  found?: number | undefined;
};

export type Judgement = 'signed' | 'bad_signature' | 'wrong_epoch_key' | 'void';

/**
 * The keys of a log by the records that made them known, and the rules of who signs what: the key of
 * epoch e signs sizes behind its own record, up to and with that of the next key's record.
 */
export class Epochs {
  readonly list: Epoch[] = [];
  #found: number | undefined;

  readonly #records = new Map<number, KeyRecord>();

  /** Feed it every record. `first` is the number of the first that is there. */
  see(record: Envelope, first: number): void {
    const { type, seq, data } = record;
    if (type === 'log.loss.acknowledged' && typeof data['found_size'] === 'number') {
      this.#found = data['found_size'];
    }
    if (isAboutKeys(type)) this.#records.set(seq, { type, seq, data, found: this.#found });
    if (type === 'log.carried') this.#seeCarried(data, first);
  }

  /** A record that was let go with what came before `first`, told again. */
  #seeCarried({ of, line }: Record<string, unknown>, first: number): void {
    if (typeof of !== 'number' || typeof line !== 'string' || of >= first) return;
    const { type, data } = (parse(line) ?? {}) as Partial<Envelope>;
    if (type === undefined || !isAboutKeys(type) || typeof data !== 'object') return;
    this.#records.set(of, { type, seq: of, data, found: undefined });
  }

  /** Call it once all records are seen. The first record about keys that contradicts those before. */
  settle(): { seq: number; detail: string } | undefined {
    for (const record of [...this.#records.values()].toSorted((a, b) => a.seq - b.seq)) {
      const detail = this.add(record);
      if (detail !== undefined) return { seq: record.seq, detail };
    }
    return undefined;
  }

  add({ type, seq, data, found }: KeyRecord): string | undefined {
    const { epoch, vkey, previous, lost } = data;
    const key = typeof vkey === 'string' ? parseVkey(vkey) : undefined;
    if (key?.kind !== 'ed25519') return 'the record names no key';
    const last = this.list.at(-1);
    const chained = type === 'key.rotated';
    if (last === undefined) {
      const before = chained && typeof previous === 'string' ? parseVkey(previous) : undefined;
      if (chained && before?.kind !== 'ed25519') return 'the record names no key before it';
      if (typeof epoch !== 'number') return 'the record names no epoch';
      // Where what comes before was let go, the first record about keys tells of two.
      if (before !== undefined) {
        const first = { epoch: epoch - 1, seq: -1, key: before, chained: false, found: undefined };
        this.list.push(first);
      }
    } else {
      if (epoch !== last.epoch + 1) return 'an epoch is missing or comes twice';
      if (chained && previous !== last.key.vkey) return 'the key before it is another one';
      if (!chained && lost === undefined) return 'a first key comes twice';
    }
    this.list.push({ epoch, seq, key, chained, found: chained ? undefined : found });
    return undefined;
  }

  /** Whose turn it is to sign this size. */
  of(size: number): Epoch | undefined {
    return this.list.findLast(({ seq }) => seq + 1 < size) ?? this.list[0];
  }

  judge({ note, size, origin }: SignedCheckpoint): Judgement {
    const expected = this.of(size);
    if (expected === undefined || origin !== expected.key.name) return 'bad_signature';
    const said = signedBy(note, expected.key);
    if (said.signed) return 'signed';
    const others = this.list.filter((one) => one !== expected && signedBy(note, one.key).signed);
    const isVoid = others.some((by) =>
      this.list.some((e) => e.epoch > by.epoch && e.found !== undefined && size > e.found),
    );
    if (isVoid) return 'void';
    return others.length > 0 && said.why === 'absent' ? 'wrong_epoch_key' : 'bad_signature';
  }

  /** Epochs that a trusted one vouches for: it and those after it, up to the next that is not chained. */
  reached(trusted: ReadonlySet<number>): Set<number> {
    const reached = new Set<number>();
    let isReached = false;
    for (const { epoch, chained } of this.list) {
      isReached = trusted.has(epoch) || (isReached && chained);
      if (isReached) reached.add(epoch);
    }
    return reached;
  }
}

function isAboutKeys(type: string): boolean {
  return type === 'key.created' || type === 'key.rotated';
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
