import { isUtf8 } from 'node:buffer';
import { hash } from 'node:crypto';
import { readRecord } from './bundle/line.ts';
import { cosignersOf, isQuorum } from './policy.ts';
import { parseSignedCheckpoint, parseTlogProof } from './tlog/checkpoint.ts';
import { includes, leafHash } from './tlog/merkle.ts';
import { signedBy } from './tlog/note.ts';
import type { Trust } from './trust.ts';
import type { Reason, Verdict } from './verdict.ts';
import { Findings } from './weigh.ts';

/** Checks one record by its `.tlog-proof`. `line` may end with a line feed. */
export function verifyProof(proof: Buffer, line: Buffer, trust: Trust): Verdict {
  const findings = new Findings();
  const bytes = line.at(-1) === 10 ? line.subarray(0, -1) : line;
  const found = judge(proof, bytes, trust, findings);
  const isGood = findings.exit === 0 || findings.exit === 3;
  const { size = 0, seq = 0, epoch = 0, by = [], trusted = 0 } = found;
  return {
    ...findings.summary,
    records: isGood ? 1 : 0,
    firstSeq: seq,
    lastGoodSeq: isGood ? seq : -1,
    head: { size: seq + 1, hash: hash('sha256', Buffer.concat([Buffer.from([0]), bytes]), 'hex') },
    origin: found.origin,
    segments: 0,
    bytes: bytes.length,
    notes: [],
    runs: 0,
    openRuns: 0,
    keys: [],
    signed: isGood && trusted > 0 ? { size, epoch } : undefined,
    witnessed: by.length > 0 ? { size, by } : undefined,
    trusted,
    evidence: [],
    reach: isGood
      ? `record ${seq}: in the log of ${size} records${trusted > 0 ? ', vouched for by what you brought from outside' : '; nothing from outside vouches for it'}`
      : 'nothing was checked',
    durationMs: 0,
  };
}

type Found = {
  origin?: string;
  size?: number;
  seq?: number;
  epoch?: number;
  trusted?: number;
  by?: { name: string; at: number }[];
};

function judge(proof: Buffer, line: Buffer, trust: Trust, findings: Findings): Found {
  const fail = (reason: Reason, seq: number, detail: string, proven = true) =>
    findings.add({ reason, file: '', offset: 0, seq, detail }, proven);
  const parsed = isUtf8(proof) ? parseTlogProof(proof.toString('utf8')) : undefined;
  const checkpoint = parsed && parseSignedCheckpoint(parsed.checkpoint);
  if (parsed === undefined || checkpoint === undefined) {
    fail('schema', 0, 'this is no proof');
    return {};
  }
  const { size, root, origin, note } = checkpoint;
  const { index: seq } = parsed;
  const found: Found = { origin, size, seq };
  const record = readRecord(line);
  if ('reason' in record) {
    fail(record.reason, seq, record.detail);
    return found;
  }
  if (record.seq !== seq || !includes({ ...parsed, size, leaf: leafHash(line), root })) {
    fail('hash_mismatch', seq, 'the record is not in the log that was signed, or was changed');
    return found;
  }
  const said = trust.keys.map((key) => signedBy(note, key));
  if (said.some((one) => !one.signed && one.why === 'wrong')) {
    fail('bad_signature', seq, 'a key that was pinned did not sign the checkpoint as it says');
    return found;
  }
  const isOutside = trust.outside.some((one) => one.size === size && one.root.equals(root));
  const isSigned = trust.keys.some((key, at) => key.name === origin && said[at]?.signed === true);
  if (isSigned || isOutside) found.trusted = size;
  else if (trust.keys.length > 0)
    fail('no_key', seq, 'no key that was given signed it: that of its epoch would', false);
  else fail('unpinned', seq, 'whose keys signed it is not known from outside', false);
  return judgeWitnesses(found, checkpoint, trust, fail);
}

function judgeWitnesses(
  found: Found,
  { note, size }: { note: Parameters<typeof cosignersOf>[0]; size: number },
  { policy }: Trust,
  fail: (reason: Reason, seq: number, detail: string, proven?: boolean) => void,
): Found {
  if (policy === undefined) return found;
  const by = cosignersOf(note, policy);
  if (by === 'wrong') {
    fail('bad_signature', Math.max(0, size - 1), 'a witness did not sign as it says');
    return found;
  }
  if (!isQuorum(policy, new Set(by.map(({ name }) => name)))) {
    fail('unanchored', found.seq ?? 0, 'the policy asks for more witnesses', false);
  }
  return { ...found, by };
}
