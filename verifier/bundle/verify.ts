import { hash } from 'node:crypto';
import { zeroHash } from '../limits.ts';
import { cosignersOf, isQuorum } from '../policy.ts';
import { reachOf } from '../reach.ts';
import type { Assurance } from '../signatures.ts';
import { parseSignedCheckpoint, type SignedCheckpoint } from '../tlog/checkpoint.ts';
import { includes, leafHash } from '../tlog/merkle.ts';
import { spellNote } from '../tlog/note.ts';
import type { Trust } from '../trust.ts';
import type { Finding, Reason, Verdict } from '../verdict.ts';
import { Findings } from '../weigh.ts';
import { proofOf, readKeys } from './keys.ts';
import { hasFields, isCount, isObject, linesOf, parseJson, readRecord } from './line.ts';
import type { BundleFiles, BundleName } from './read.ts';

/**
 * Checks the extract of one run: that its lines are records of the log which the checkpoint is of,
 * that none of the run is missing, and whose keys say so. Stops at the first contradiction.
 */
export function verifyBundle(files: BundleFiles, trust: Trust): Verdict {
  const check = new BundleCheck(files, trust);
  check.run();
  return check.verdict;
}

class Stop extends Error {}

class BundleCheck {
  readonly #files: BundleFiles;
  readonly #trust: Trust;
  readonly #findings = new Findings();
  readonly #notes: string[] = [];
  readonly #assurance: Assurance = {
    keys: [],
    signed: undefined,
    trusted: 0,
    witnessed: undefined,
    evidence: [],
  };
  #origin: string | undefined;
  #records = 0;
  #first = 0;
  #last = -1;
  #head = zeroHash;
  #isClosed = false;

  constructor(files: BundleFiles, trust: Trust) {
    this.#files = files;
    this.#trust = trust;
  }

  run(): void {
    try {
      const manifest = this.#readManifest();
      const checkpoint = parseSignedCheckpoint(this.#files.checkpoint);
      if (checkpoint === undefined) this.#stop('schema', 'checkpoint', 0, 'this is no checkpoint');
      this.#origin = checkpoint.origin;
      this.#judgeKeys(checkpoint);
      this.#judgeRecords(String(manifest['run']), checkpoint);
      this.#judgeManifest(manifest, checkpoint);
      this.#judgeWitnesses(checkpoint);
    } catch (error) {
      if (!(error instanceof Stop)) throw error;
    }
  }

  get verdict(): Verdict {
    const { trusted } = this.#assurance;
    return {
      ...this.#findings.summary,
      records: this.#records,
      firstSeq: this.#first,
      lastGoodSeq: this.#last,
      head: { size: this.#last + 1, hash: this.#head },
      origin: this.#origin,
      segments: 0,
      bytes: this.#files['records.jsonl'].length,
      notes: this.#notes,
      runs: this.#records === 0 ? 0 : 1,
      openRuns: this.#records > 0 && !this.#isClosed ? 1 : 0,
      ...this.#assurance,
      reach: reachOf({
        ...this.#assurance,
        first: this.#first,
        size: this.#last + 1,
        outside: undefined,
        isSigned: true,
        trusted: trusted > this.#last ? trusted : 0,
      }),
      durationMs: 0,
    };
  }

  #readManifest(): Record<string, unknown> {
    const manifest = parseJson(this.#files['manifest.json']);
    if (
      !isObject(manifest) ||
      manifest['format'] !== 'orchestra-extract/1' ||
      typeof manifest['run'] !== 'string' ||
      !isObject(manifest['files'])
    ) {
      this.#stop('schema', 'manifest.json', 0, 'this is no manifest of an extract');
    }
    return manifest;
  }

  #judgeKeys(checkpoint: SignedCheckpoint): void {
    const { size, note } = checkpoint;
    const keys = readKeys(this.#files['epochs.jsonl'], checkpoint);
    if (keys.wrong !== undefined) {
      this.#assurance.evidence.push(...(keys.wrong.evidence ?? []));
      const { reason, seq, detail, offset } = keys.wrong;
      this.#stop(reason, 'epochs.jsonl', seq, detail, offset);
    }
    const { list } = keys.epochs;
    this.#assurance.keys = list.map(({ epoch, key, seq }) => ({ epoch, vkey: key.vkey, seq }));
    const judged = keys.epochs.judge(checkpoint);
    const seq = Math.max(0, size - 1);
    if (judged !== 'signed') {
      const reason = judged === 'wrong_epoch_key' ? judged : 'bad_signature';
      this.#stop(reason, 'checkpoint', seq, 'the key of its epoch did not sign the checkpoint');
    }
    const epoch = keys.epochs.of(size)?.epoch ?? 0;
    this.#assurance.signed = { size, epoch };
    for (const outside of this.#trust.outside) {
      if (outside.size !== size) {
        const detail = `a checkpoint kept elsewhere, of ${outside.size} records, cannot be compared with one of ${size}`;
        this.#notes.push(detail);
      } else if (outside.root.equals(checkpoint.root)) {
        this.#assurance.trusted = size;
      } else {
        const isFork = keys.epochs.judge(outside) === 'signed';
        if (isFork) this.#assurance.evidence.push(spellNote(outside.note), spellNote(note));
        const detail = `the checkpoint contradicts one kept elsewhere, of ${size} records as well`;
        this.#stop(isFork ? 'fork' : 'hash_mismatch', 'checkpoint', seq, detail);
      }
    }
    const pinned = new Set(this.#trust.keys.map(({ vkey }) => vkey));
    const trusted = list.filter(({ key }) => pinned.has(key.vkey));
    if (pinned.size > 0 && trusted.length === 0) {
      const first = list.find((one) => one.seq >= 0)?.seq ?? 0;
      this.#stop(
        'wrong_epoch_key',
        'epochs.jsonl',
        first,
        'the bundle knows no key that was pinned',
      );
    }
    const reached = keys.epochs.reached(new Set(trusted.map((one) => one.epoch)));
    if (reached.has(epoch)) this.#assurance.trusted = size;
    if (this.#assurance.trusted === 0) {
      const detail =
        'its keys are known from itself only: it is internally consistent, which anybody can make';
      this.#add('unpinned', '', 0, detail);
    }
  }

  #judgeRecords(run: string, { size, root }: SignedCheckpoint): void {
    const { lines, torn, offsets } = linesOf(this.#files['records.jsonl']);
    const proofs = linesOf(this.#files['proofs.jsonl']).lines;
    const file = 'records.jsonl';
    let next: number | undefined;
    let closing: number | undefined;
    for (const [index, line] of lines.entries()) {
      const offset = offsets[index] ?? 0;
      const record = readRecord(line);
      const expected = index === 0 ? 0 : this.#last + 1;
      if ('reason' in record) this.#stop(record.reason, file, expected, record.detail, offset);
      const { seq, rseq = -1, rprev } = record;
      const fail = (reason: Reason, detail: string) =>
        this.#stop(reason, file, seq, detail, offset);
      if (record.run !== run) fail('schema', 'the record is of another run');
      if (index > 0 && seq <= this.#last) fail('seq_duplicate', 'the numbers do not ascend');
      next ??= rseq;
      if (rseq !== next || (rseq === 0 ? rprev !== zeroHash : index > 0 && rprev !== this.#head)) {
        fail('run_incomplete', `the run does not continue at its record ${next}`);
      }
      if (index > 0 && seq === this.#last + 1 && record.prev !== this.#head) {
        fail('prev_mismatch', 'does not continue the record before it, or that was changed');
      }
      const leaf = leafHash(line);
      const proof = proofIn(proofs[index], seq);
      if (proof === undefined)
        this.#stop('schema', 'proofs.jsonl', seq, 'there is no proof of the record');
      if (!includes({ index: seq, size, leaf, root, proof })) {
        fail('hash_mismatch', 'the record is not in the log that was signed, or was changed');
      }
      if (record.type === 'run.closed') {
        if (record.data['records'] !== rseq + 1)
          fail('run_incomplete', 'the run was closed with another count');
        closing = rseq;
      }
      if (index === 0) this.#first = seq;
      this.#records += 1;
      this.#last = seq;
      this.#head = leaf.toString('hex');
      next += 1;
    }
    if (proofs.length > lines.length) {
      this.#stop('schema', 'proofs.jsonl', this.#last + 1, 'there are more proofs than records');
    }
    this.#isClosed = closing !== undefined;
    if (torn.length > 0) {
      const at = this.#files['records.jsonl'].length - torn.length;
      this.#add('torn_tail', file, this.#last + 1, 'the last line is cut short', at);
    }
    if (lines.length === 0) this.#stop('empty', file, 0, 'there are no records: nothing to check');
    const missing = (next ?? 0) - this.#records;
    if (missing > 0)
      this.#add('partial', file, 0, `the first ${missing} records of the run are not here`);
    if (!this.#isClosed)
      this.#add('run_incomplete', file, this.#last + 1, 'the run is not closed in here');
  }

  #judgeManifest(manifest: Record<string, unknown>, checkpoint: SignedCheckpoint): void {
    const claims: [string, unknown][] = [
      ['origin', checkpoint.origin],
      ['records', this.#records],
      ['first_seq', this.#first],
      ['last_seq', this.#last],
      ['tree_size', checkpoint.size],
      ['root', checkpoint.root.toString('base64')],
    ];
    for (const [name, value] of claims) {
      if (manifest[name] !== value) {
        this.#stop('schema', 'manifest.json', 0, `${name} is not what is in the bundle`);
      }
    }
    const named = manifest['files'] as Record<string, unknown>;
    for (const name of ['records.jsonl', 'proofs.jsonl', 'checkpoint', 'epochs.jsonl'] as const) {
      const said = Object.hasOwn(named, name) ? named[name] : undefined;
      if (said !== hash('sha256', this.#files[name], 'hex')) {
        this.#stop('hash_mismatch', name, 0, 'the file is not the one that the manifest names');
      }
    }
  }

  #judgeWitnesses({ note, size }: SignedCheckpoint): void {
    const { policy } = this.#trust;
    if (policy === undefined) return;
    const by = cosignersOf(note, policy);
    if (by === 'wrong') {
      const detail = 'a witness did not sign the checkpoint as it says';
      this.#stop('bad_signature', 'checkpoint', Math.max(0, size - 1), detail);
    }
    if (!isQuorum(policy, new Set(by.map(({ name }) => name)))) {
      this.#add('unanchored', 'checkpoint', 0, 'the policy asks for more witnesses');
    } else if (by.length > 0) {
      this.#assurance.witnessed = { size, by };
    }
  }

  #add(reason: Reason, file: BundleName | '', seq: number, detail: string, offset = 0): Finding {
    const finding = { reason, file, offset, seq, detail };
    this.#findings.add(finding);
    return finding;
  }

  #stop(reason: Reason, file: BundleName | '', seq: number, detail: string, offset = 0): never {
    this.#findings.add({ reason, file, offset, seq, detail }, reason !== 'empty');
    throw new Stop();
  }
}

function proofIn(line: Buffer | undefined, seq: number): readonly Buffer[] | undefined {
  const value = line && parseJson(line);
  if (!hasFields(value, ['proof', 'seq']) || value['seq'] !== seq || !isCount(seq))
    return undefined;
  return proofOf(value['proof']);
}
