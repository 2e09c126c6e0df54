import { createPrivateKey, createPublicKey, hash, sign, type KeyObject } from 'node:crypto';
import { leafHash, nodeHash } from '#verifier/tlog/merkle.ts';
import {
  cosignedText,
  keyId,
  spellNote,
  spellVkey,
  type NoteSignature,
} from '#verifier/tlog/note.ts';

/**
 * A log as the daemon writes it, made in memory and without any of its code: for tests of whoever
 * reads logs. The same options give the same bytes.
 */
export type SignedLogOptions = {
  seed?: string;
  runs?: number;
  /** A new segment after so many records. */
  segmentRecords?: number;
  checkpointEvery?: number;
  /** The key is rotated before these runs. */
  rotateBefore?: readonly number[];
  /** Without keys and checkpoints, as logs were before them. */
  bare?: boolean;
  /** So many segments from the front are let go, by a record that says so. */
  prune?: number;
  /** Every so many checkpoints two witnesses sign as well. */
  witnessEvery?: number;
};

export type Signer = { name: string; secret: KeyObject; vkey: string };
type Line = { seq: number; type: string; run: string | undefined; bytes: Buffer; leaf: Buffer };

const zero = '0'.repeat(64);

export class SignedLog {
  readonly origin: string;
  readonly lines: Line[] = [];
  readonly segments: { first: number; count: number }[] = [];
  readonly epochs: { epoch: number; seq: number; signer: Signer }[] = [];
  readonly witnesses: Signer[];
  /** Every note in the order of `checkpoints.log`. */
  readonly notes: { size: number; note: string }[] = [];
  readonly #options: Required<SignedLogOptions>;
  readonly #runs = new Map<string, { records: number; last: string }>();
  #millis = Date.UTC(2026, 0, 1);

  constructor(options: SignedLogOptions = {}) {
    this.#options = {
      seed: 'a',
      runs: 3,
      segmentRecords: 14,
      checkpointEvery: 5,
      rotateBefore: [1],
      bare: false,
      witnessEvery: 3,
      prune: 0,
      ...options,
    };
    this.origin = `host/orchestra/${this.#options.seed}`;
    this.witnesses = ['w1.example', 'w2.example'].map((name) => this.#signer(name, 'cosignature'));
    this.#write();
  }

  get size(): number {
    return this.lines.length;
  }

  get vkey(): string {
    return this.epochs[0]?.signer.vkey ?? '';
  }

  /** Both witnesses, one of which is enough. */
  get policy(): string {
    const [one, two] = this.witnesses;
    return `# who keeps watch\nwitness w1 ${one?.vkey}\nwitness w2 ${two?.vkey}\ngroup g any w1 w2\nquorum g\nmax-unanchored 64\n`;
  }

  /** Files beneath the log's folder. */
  files(): Map<string, Buffer> {
    const files = new Map<string, Buffer>();
    for (const { first, count } of this.segments.slice(this.#options.prune)) {
      const lines = this.lines.slice(first, first + count);
      const name = `segments/${String(first).padStart(16, '0')}.jsonl`;
      files.set(name, Buffer.concat(lines.flatMap(({ bytes }) => [bytes, Buffer.from('\n')])));
    }
    const last = this.lines.at(-1);
    const head = `{"hash":"${last?.leaf.toString('hex')}","size":${this.size}}\n`;
    files.set('heads.jsonl', Buffer.from(head));
    if (this.notes.length === 0) return files;
    files.set('checkpoints.log', Buffer.from(this.notes.map(({ note }) => `${note}\n`).join('')));
    files.set('checkpoint', Buffer.from(this.notes.at(-1)?.note ?? ''));
    for (let at = 0; at + 256 <= this.size; at += 256) {
      const leaves = this.lines.slice(at, at + 256).map(({ leaf }) => leaf);
      files.set(`tile/0/${String(at / 256).padStart(3, '0')}`, Buffer.concat(leaves));
    }
    return files;
  }

  /** The extract of a run, to the newest checkpoint. */
  bundle(run: string): Map<string, Buffer> {
    const { size, note } =
      this.notes.findLast((one) => one.size === this.size) ?? this.#sign(this.size);
    const lines = this.lines.filter((line) => line.run === run);
    const b64 = (proof: readonly Buffer[]) => proof.map((one) => one.toString('base64'));
    const proofs = lines.map(({ seq }) => ({ proof: b64(this.inclusion(seq, size)), seq }));
    const epochs = this.epochs.map(({ epoch, seq }) => {
      const final = epoch === 0 ? undefined : this.notes.find((one) => one.size === seq + 1);
      const at = final?.size ?? size;
      return {
        epoch,
        seq,
        line: this.lines[seq]?.bytes.toString(),
        proof: b64(this.inclusion(seq, at)),
        checkpoint: final?.note ?? note,
        consistency: at === size ? [] : b64(this.consistency(at, size)),
      };
    });
    const jsonl = (rows: readonly unknown[]) =>
      rows.map((row) => `${JSON.stringify(row)}\n`).join('');
    const files = new Map<string, Buffer>([
      ['records.jsonl', Buffer.from(lines.map(({ bytes }) => `${bytes.toString()}\n`).join(''))],
      ['proofs.jsonl', Buffer.from(jsonl(proofs))],
      ['checkpoint', Buffer.from(note)],
      ['epochs.jsonl', Buffer.from(jsonl(epochs))],
    ]);
    const manifest = {
      format: 'orchestra-extract/1',
      origin: this.origin,
      run,
      complete: true,
      records: lines.length,
      first_seq: lines[0]?.seq,
      last_seq: lines.at(-1)?.seq,
      tree_size: size,
      root: this.root(size).toString('base64'),
      version: '0.1.0',
      time: '2026-01-01T00:00:00.000Z',
      files: Object.fromEntries([...files].map(([name, bytes]) => [name, hash('sha256', bytes)])),
    };
    return files.set('manifest.json', Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`));
  }

  proof(seq: number): Buffer {
    const { size, note } = this.notes.at(-1) ?? this.#sign(this.size);
    const path = this.inclusion(seq, size).map((one) => `${one.toString('base64')}\n`);
    return Buffer.from(`c2sp.org/tlog-proof@v1\nindex ${seq}\n${path.join('')}\n${note}`);
  }

  root(size: number): Buffer {
    return rootOf(this.#leaves(size));
  }

  inclusion(seq: number, size: number): Buffer[] {
    return pathOf(seq, this.#leaves(size));
  }

  consistency(from: number, to: number): Buffer[] {
    return from === to ? [] : subproof(from, this.#leaves(to), true);
  }

  /** A note over any state, by the key of any epoch. */
  signed(size: number, root: Buffer, signer: Signer, witnesses: readonly Signer[] = []): string {
    const text = `${this.origin}\n${size}\n${root.toString('base64')}\n`;
    const time = BigInt(Math.floor(this.#millis / 1000));
    const cosign = (by: Signer): NoteSignature => {
      const head = Buffer.alloc(8);
      head.writeBigUInt64BE(time);
      const bytes = sign(null, Buffer.from(cosignedText(text, time)), by.secret);
      return {
        name: by.name,
        id: keyId(by.name, 'cosignature', rawOf(by.secret)),
        bytes: Buffer.concat([head, bytes]),
      };
    };
    const own = {
      name: signer.name,
      id: keyId(signer.name, 'ed25519', rawOf(signer.secret)),
      bytes: sign(null, Buffer.from(text), signer.secret),
    };
    return spellNote({ text, signatures: [own, ...witnesses.map(cosign)] });
  }

  signerOf(size: number): Signer | undefined {
    return (this.epochs.findLast(({ seq }) => seq + 1 < size) ?? this.epochs[0])?.signer;
  }

  /** Another signer of the same name that nobody knows. */
  stranger(): Signer {
    return this.#signer(this.origin, 'ed25519', 'stranger');
  }

  #write(): void {
    const { runs, bare, rotateBefore } = this.#options;
    this.#append('log.genesis', { origin: this.origin });
    if (!bare) this.#epoch('key.created', 0);
    for (let run = 0; run < runs; run += 1) {
      if (!bare && rotateBefore.includes(run)) {
        this.#epoch('key.rotated', this.epochs.length);
        this.#checkpoint(true);
      }
      const id = `r-${this.#options.seed}${run}`;
      this.#append('run.submitted', { intent: `say "h\u00e9llo" ${run}` }, id);
      this.#append('daemon.error', { code: 'test', what: `between \u{1f600} ${run}` });
      for (const attempt of [1, 2, 3]) this.#append('task.started', { attempt }, id);
      this.#append('run.closed', { outcome: 'succeeded', records: 5 }, id);
    }
    if (this.#options.prune > 0) this.#prune(this.#options.prune);
    this.#append('daemon.stopped', { runs_open: 0 });
    this.#checkpoint(true);
  }

  /** Number of the first record that is still in the folder. */
  get first(): number {
    return this.segments[this.#options.prune]?.first ?? 0;
  }

  #prune(segments: number): void {
    const to = this.segments[segments]?.first ?? 0;
    this.#checkpoint(true);
    const tree = { tree_size: this.size, root: this.root(this.size).toString('base64') };
    for (const { seq } of this.epochs.filter((epoch) => epoch.seq < to)) {
      const line = this.lines[seq];
      const proof = this.inclusion(seq, tree.tree_size).map((one) => one.toString('base64'));
      const text = line?.bytes.toString();
      const sha256 = line?.leaf.toString('hex');
      this.#append('log.carried', {
        line: text,
        of: seq,
        proof,
        root: tree.root,
        sha256,
        tree_size: tree.tree_size,
      });
    }
    const gone = this.segments.slice(0, segments).map(({ first, count }) => {
      const lines = this.lines.slice(first, first + count);
      const bytes = Buffer.concat(lines.flatMap((line) => [line.bytes, Buffer.from('\n')]));
      const last = lines.at(-1)?.leaf.toString('hex');
      return {
        bytes: bytes.length,
        first_seq: first,
        last,
        records: count,
        sha256: hash('sha256', bytes),
      };
    });
    const spans = [...this.#runs.keys()].flatMap((run) => {
      const own = this.lines.filter((line) => line.run === run);
      const before = own.filter(({ seq }) => seq < to);
      const last = before.at(-1)?.leaf.toString('hex');
      if (before.length === 0 || before.length === own.length) return [];
      return [{ closed: false, last, records: before.length, run }];
    });
    const until = '2026-01-01T00:00:00.000Z';
    const about = {
      from_seq: 0,
      keep_days: 1,
      origin: this.origin,
      root: tree.root,
      segments: gone,
    };
    this.#append('log.pruned', { ...about, spans, to_seq: to, tree_size: tree.tree_size, until });
  }

  #epoch(type: string, epoch: number): void {
    const signer = this.#signer(this.origin, 'ed25519', `epoch ${epoch}`);
    const previous = this.epochs.at(-1)?.signer.vkey;
    const seq = this.#append(type, {
      epoch,
      ...(previous === undefined ? {} : { previous }),
      vkey: signer.vkey,
    });
    this.epochs.push({ epoch, seq, signer });
  }

  #append(type: string, data: object, run?: string): number {
    const { segmentRecords, checkpointEvery } = this.#options;
    const segment = this.segments.at(-1);
    if (segment !== undefined && segment.count === segmentRecords) {
      const own = this.lines.slice(segment.first);
      const bytes = own.reduce((sum, line) => sum + line.bytes.length + 1, 0);
      this.#line('log.segment.closed', {
        bytes,
        first_seq: segment.first,
        records: segment.count + 1,
      });
      segment.count += 1;
      const seq = this.lines.length;
      this.segments.push({ first: seq, count: 1 });
      const previous = this.lines.at(-1)?.leaf.toString('hex');
      this.#line('log.segment.opened', { first_seq: seq, previous, previous_size: seq });
    }
    if (segment === undefined) this.segments.push({ first: 0, count: 0 });
    const seq = this.#line(type, data, run);
    (this.segments.at(-1) ?? { count: 0 }).count += 1;
    if (this.lines.length % checkpointEvery === 0 && !type.startsWith('key.')) this.#checkpoint();
    return seq;
  }

  #line(type: string, data: object, run?: string): number {
    const seq = this.lines.length;
    this.#millis += 250;
    const tally =
      run === undefined ? undefined : (this.#runs.get(run) ?? { records: 0, last: zero });
    const text = JSON.stringify({
      actor: { auth: 'self', kind: 'daemon' },
      boot: 'b1',
      data,
      mono: (this.#millis - Date.UTC(2026, 0, 1)) * 1000,
      outcome: 'ok',
      prev: this.lines.at(-1)?.leaf.toString('hex') ?? zero,
      ...(tally === undefined ? {} : { rprev: tally.last, rseq: tally.records, run }),
      seq,
      sev: 'info',
      stage: 'note',
      ts: new Date(this.#millis).toISOString(),
      type,
      v: 1,
    });
    const bytes = Buffer.from(text);
    const leaf = leafHash(bytes);
    if (run !== undefined && tally !== undefined) {
      this.#runs.set(run, { records: tally.records + 1, last: leaf.toString('hex') });
    }
    this.lines.push({ seq, type, run, bytes, leaf });
    return seq;
  }

  #checkpoint(always = false): void {
    if (this.#options.bare || (!always && this.notes.at(-1)?.size === this.size)) return;
    const one = this.#sign(this.size);
    this.notes.push(one);
    if (this.notes.length % this.#options.witnessEvery !== 0) return;
    const signer = this.signerOf(one.size);
    if (signer === undefined) return;
    const note = this.signed(one.size, this.root(one.size), signer, this.witnesses);
    this.notes.push({ size: one.size, note });
  }

  #sign(size: number): { size: number; note: string } {
    const signer = this.signerOf(size) ?? this.stranger();
    return { size, note: this.signed(size, this.root(size), signer) };
  }

  #leaves(size: number): Buffer[] {
    return this.lines.slice(0, size).map(({ leaf }) => leaf);
  }

  #signer(name: string, kind: 'ed25519' | 'cosignature', what = name): Signer {
    const raw = hash('sha256', `${this.#options.seed} ${what}`, 'buffer');
    // A raw Ed25519 key behind the fixed head of its PKCS #8 form (RFC 8410).
    const head = Buffer.from('302e020100300506032b657004220420', 'hex');
    const secret = createPrivateKey({
      key: Buffer.concat([head, raw]),
      format: 'der',
      type: 'pkcs8',
    });
    return { name, secret, vkey: spellVkey(name, kind, rawOf(secret)) };
  }
}

function rawOf(secret: KeyObject): Buffer {
  return createPublicKey(secret).export({ type: 'spki', format: 'der' }).subarray(-32);
}

// RFC 6962, 2.1, as it is written there.
function split(n: number): number {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}

function rootOf(leaves: readonly Buffer[]): Buffer {
  const [first] = leaves;
  if (first === undefined) return hash('sha256', '', 'buffer');
  if (leaves.length === 1) return first;
  const k = split(leaves.length);
  return nodeHash(rootOf(leaves.slice(0, k)), rootOf(leaves.slice(k)));
}

function pathOf(m: number, leaves: readonly Buffer[]): Buffer[] {
  if (leaves.length <= 1) return [];
  const k = split(leaves.length);
  return m < k
    ? [...pathOf(m, leaves.slice(0, k)), rootOf(leaves.slice(k))]
    : [...pathOf(m - k, leaves.slice(k)), rootOf(leaves.slice(0, k))];
}

function subproof(m: number, leaves: readonly Buffer[], whole: boolean): Buffer[] {
  if (m === leaves.length) return whole ? [] : [rootOf(leaves)];
  const k = split(leaves.length);
  return m <= k
    ? [...subproof(m, leaves.slice(0, k), whole), rootOf(leaves.slice(k))]
    : [...subproof(m - k, leaves.slice(k), false), rootOf(leaves.slice(0, k))];
}
