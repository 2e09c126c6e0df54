import { hash } from 'node:crypto';
import { chmod, open, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { OrchestraError } from '#contract/errors.ts';
import type { AnyRecord } from '#contract/records.ts';
import type { SignedCheckpoint } from '#verifier/tlog/checkpoint.ts';
import { readHeads, type Heads } from '#verifier/heads.ts';
import { MissingFront } from '#verifier/pruned.ts';
import { scanLog, type Scan, type ScanOptions } from '#verifier/scan.ts';
import type { Finding } from '#verifier/verdict.ts';
import { deepFreeze } from '../base/freeze.ts';
import type { Catalog } from './catalog.ts';
import { syncFolder } from './disk.ts';
import { carriedBy } from './retention/carried.ts';
import { newestOf, putAway, readCheckpoints } from './tree/checkpoint-file.ts';
import type { TreeOpening } from './tree/types.ts';
import type { AnyEntry } from './types.ts';

export type Recovered = {
  scan: Scan;
  origin: string | undefined;
  openedAt: number;
  /** Records that have to be the next ones. */
  entries: AnyEntry[];
};

export type RecoveryOptions = {
  dir: string;
  catalog: Catalog;
  onRecord: (record: AnyRecord) => void;
  /** A person has accepted that records are gone: why, in their words. */
  acceptLoss?: string | undefined;
  /** Gets the hash of each record. */
  tree?: TreeOpening | undefined;
  /** What a signer knows of. */
  signedSize?: number | undefined;
};

/**
 * Reads the whole log with the verifier's own rules. Only what a crash can do is mended, which is
 * an unfinished last line: it was never acknowledged, so nothing ran because of it. Everything else
 * is refused, never skipped.
 *
 * Up to the head that this daemon or the one before noted, the chain of hashes is all that is
 * followed: it arrives at that head only with the very bytes that were checked when they were
 * written. Whoever can forge the head as well could as well write records that pass every check.
 */
export async function recoverLog(options: RecoveryOptions): Promise<Recovered> {
  const { dir, catalog, onRecord, acceptLoss, tree } = options;
  // Heads first, since a head that is noted has to be found in what is read afterwards.
  const heads = await readHeads(dir).catch((cause: unknown) => {
    throw new OrchestraError('audit.broken', 'heads.jsonl: the newest line is no head', { cause });
  });
  let origin: string | undefined;
  let openedAt = 0;
  let headHash: string | undefined;
  const signed = await lastSigned(dir, options);
  const front = new MissingFront();
  let isTreeBegun = false;
  const scan = await scanSeen(dir, {
    chunkBytes: 1024 * 1024,
    // Where records are gone for good no head is ever met: then all that is left is checked.
    seen: acceptLoss === undefined ? heads?.newest : undefined,
    onRecord: (record, chain, place) => {
      front.see(record);
      if (record.type === 'log.genesis' || record.type === 'log.pruned') {
        origin = String(record.data['origin']);
      }
      if (place.offset === 0) openedAt = Date.parse(record.ts);
      if (chain.seq === heads?.newest?.size) headHash = chain.head;
      if (tree !== undefined) {
        if (!isTreeBegun) tree.begin(signed, record.seq);
        isTreeBegun = true;
        tree.add(chain.head);
      }
      catalog.add(record, place.segment.first, place.offset);
      // What a pruned part said and is still in force is told where the log says it again.
      const carried = carriedBy(record, catalog.scanned);
      if (carried !== undefined) onRecord(deepFreeze(carried) as AnyRecord);
      onRecord(deepFreeze(record) as unknown as AnyRecord);
      return undefined;
    },
  });
  if (scan.failure !== undefined) throw broken(scan.failure);
  const gone = front.judge();
  if (gone !== undefined) {
    throw broken({ ...gone, file: scan.segments[0]?.name ?? '', offset: 0 });
  }
  // The writer goes on with what the catalog knows: runs that were pruned are forgotten.
  for (const run of scan.chain.runs.keys()) if (!catalog.runs.has(run)) scan.chain.runs.delete(run);
  const loss =
    lossOf(scan, heads, headHash) ??
    signedLoss(scan, Math.max(signed?.size ?? 0, options.signedSize ?? 0));
  if (loss !== undefined && acceptLoss === undefined) throw rolledBack(loss);
  if (tree !== undefined) await finishTree(dir, tree, { scan, signed, isTreeBegun });

  const entries: AnyEntry[] = [];
  if (scan.tail !== undefined) entries.push(await quarantine(dir, scan, scan.tail));
  if (loss !== undefined && acceptLoss !== undefined) {
    await putAway(dir, loss.found);
    const data = { expected_size: loss.expected, found_size: loss.found, reason: acceptLoss };
    entries.push({ type: 'log.loss.acknowledged', sev: 'alert', data });
  }
  const last = scan.segments.at(-1);
  // A crash may have come between the last line of a segment and its change to read-only.
  if (last !== undefined && scan.chain.isSealed) await chmod(last.path, 0o440);
  return { scan, origin, openedAt, entries };
}

/** What is wrong with a log is found by all the rules, whichever of them noticed it first. */
async function scanSeen(dir: string, options: ScanOptions): Promise<Scan> {
  const { chunkBytes, seen } = options;
  if (seen === undefined) return scanLog(dir, options);
  let thrown: unknown;
  const scan = await scanLog(dir, options).catch((error: unknown) => {
    // A fold that met a record which nobody wrote may do anything.
    thrown = error;
  });
  if (scan !== undefined && scan.failure === undefined) return scan;
  let isMet = false;
  const whole = await scanLog(dir, {
    chunkBytes,
    onRecord: (_record, chain) => {
      isMet ||= chain.seq === seen.size && chain.head === seen.hash;
      return undefined;
    },
  });
  if (whole.failure !== undefined || whole.chain.seq < seen.size) return whole;
  if (isMet && scan === undefined) throw thrown;
  throw rewritten(seen.size);
}

/** Records that a few crashes during the very first start may leave. */
const crashMax = 8;

type Loss = { expected: number; found: number; why: string };

function lossOf(
  scan: Scan,
  heads: Heads | undefined,
  hashThere: string | undefined,
): Loss | undefined {
  const found = scan.chain.seq;
  const newest = heads?.newest;
  if (newest === undefined) {
    // The file is made before the first record and gets its first line right after it, so a crash
    // can leave a few records without a line, and none without the file.
    if (found <= (heads === undefined ? 0 : crashMax)) return undefined;
    return {
      expected: found,
      found,
      why: `heads.jsonl is empty or gone; ${found} records are left`,
    };
  }
  if (newest.size > found) {
    const why = `heads.jsonl knows ${newest.size} records, ${found} are left`;
    return { expected: newest.size, found, why };
  }
  if (newest.size > 0 && hashThere !== newest.hash) {
    throw rewritten(newest.size);
  }
  return undefined;
}

/** What is on record as signed. */
async function lastSigned(
  dir: string,
  { tree }: RecoveryOptions,
): Promise<SignedCheckpoint | undefined> {
  if (tree === undefined) return undefined;
  return newestOf((await readCheckpoints(dir))?.notes ?? []);
}

function signedLoss(scan: Scan, signed: number): Loss | undefined {
  const found = scan.chain.seq;
  if (signed <= found) return undefined;
  const why = `${signed} records were signed, ${found} are left`;
  return { expected: signed, found, why };
}

/**
 * The tree of what was read has to begin with the one that was signed. Where it does not, tiles may
 * be damaged: then it is made of the records alone, before anybody is blamed.
 */
async function finishTree(
  dir: string,
  tree: TreeOpening,
  found: { scan: Scan; signed: SignedCheckpoint | undefined; isTreeBegun: boolean },
): Promise<void> {
  const { scan, signed, isTreeBegun } = found;
  if (!isTreeBegun) tree.begin(undefined, 0);
  if (await tree.finish()) return;
  let isBegun = false;
  await scanLog(dir, {
    chunkBytes: 1024 * 1024,
    upTo: scan.chain.seq,
    onRecord: (record, chain) => {
      if (!isBegun) tree.begin(undefined, record.seq);
      isBegun = true;
      tree.add(chain.head);
      return undefined;
    },
  });
  await tree.finish();
  if (signed === undefined || signed.size > scan.chain.seq) return;
  if ((await tree.rootAt(signed.size)).equals(signed.root)) return;
  const message = `The log was rewritten: its first ${signed.size} records are not those that were signed`;
  throw new OrchestraError('audit.broken', message, { hint: 'orchestra audit verify' });
}

function rewritten(size: number): OrchestraError {
  const why = `record ${size - 1} is not the one that heads.jsonl names`;
  return new OrchestraError('audit.broken', `The log was rewritten: ${why}`, {
    hint: 'orchestra audit verify',
  });
}

async function quarantine(
  dir: string,
  scan: Scan,
  tail: NonNullable<Scan['tail']>,
): Promise<AnyEntry> {
  const { segment, offset, bytes } = tail;
  await using file = await open(segment.path, 'r');
  const fragment = Buffer.alloc(Math.min(bytes, 1024 * 1024));
  const { bytesRead } = await file.read(fragment, 0, fragment.length, offset);
  const kept = fragment.subarray(0, bytesRead);
  const sha256 = hash('sha256', kept, 'hex');
  const folder = join(dir, 'quarantine');
  const name = `${segment.first}-${offset}-${sha256.slice(0, 16)}`;
  await using copy = await open(join(folder, name), 'w', 0o600);
  await copy.writeFile(kept);
  await copy.sync();
  await syncFolder(folder);
  await truncate(segment.path, offset);
  await using cut = await open(segment.path, 'r');
  await cut.sync();
  const last_good_seq = Math.max(0, scan.chain.seq - 1);
  return {
    type: 'log.recovered',
    sev: 'warn',
    data: { bytes, sha256, last_good_seq, file: segment.name },
  };
}

function broken({ file, offset, seq, reason, detail }: Finding): OrchestraError {
  const where = `${file}, byte ${offset}, record ${seq}`;
  return new OrchestraError(
    'audit.broken',
    `The log is not intact: ${reason} in ${where}: ${detail}`,
    {
      hint: 'orchestra audit verify; keep the files as they are, and restore the log from a copy',
    },
  );
}

function rolledBack({ why }: Loss): OrchestraError {
  return new OrchestraError('audit.rolled_back', `The log has lost records: ${why}`, {
    hint: 'restore the newest copy; if they are lost for good: orchestra audit acknowledge-loss',
  });
}
