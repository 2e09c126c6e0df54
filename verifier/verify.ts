import { lstat, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Chain, Failure } from './chain.ts';
import type { Envelope } from './envelope.ts';
import { readHeads } from './heads.ts';
import { HeartbeatWatch } from './heartbeats.ts';
import { zeroHash } from './limits.ts';
import { MissingFront } from './pruned.ts';
import { reachOf } from './reach.ts';
import { scanLog, type Scan } from './scan.ts';
import { listSegments } from './segments.ts';
import { Signatures, unsignedMax } from './signatures.ts';
import { readTrust, type TrustOptions } from './trust.ts';
import { Findings } from './weigh.ts';
import type { Finding, Head, Reason, Verdict } from './verdict.ts';

export type VerifyOptions = TrustOptions & {
  /** What somebody outside remembered of this log. */
  expectedHead?: Head | undefined;
  /** Look at this many records only: while a log is being written, its end is not yet whole. */
  upTo?: number | undefined;
  /** Smaller chunks give other work of the same thread more turns. */
  chunkBytes?: number | undefined;
};

/**
 * Checks a log's folder, a folder of copied segments or one segment file. Reads files only, needs
 * neither daemon nor configuration, and never throws for what it finds.
 */
export async function verifyLog(path: string, options: VerifyOptions = {}): Promise<Verdict> {
  const started = process.hrtime.bigint();
  const trust = readTrust(options);
  const isUsable = typeof trust !== 'string';
  const collector = new Collector();
  const signatures = new Signatures(
    await folderOf(path),
    isUsable ? trust : { keys: [], outside: [], policy: undefined },
    options.upTo,
  );
  let scan: Scan | undefined;
  try {
    if (!isUsable) throw Object.assign(new Error(), { code: trust });
    const info = await stat(path);
    // Heads first: the log only grows, so one that is noted now has to be found below.
    const heads = info.isDirectory() ? await headsOf(path, collector) : undefined;
    collector.expect(heads, 'heads.jsonl', options.upTo);
    collector.expect(options.expectedHead, 'the expected head', undefined);
    await signatures.gather(await firstOf(path), info.isDirectory());
    let first: number | undefined;
    scan = await scanLog(path, {
      upTo: options.upTo,
      chunkBytes: options.chunkBytes,
      onRecord: (record, chain) => {
        first ??= record.seq;
        signatures.see(record, chain, first);
        return collector.see(record, chain);
      },
    });
    if (scan.failure !== undefined) collector.findings.add(scan.failure, true);
    collector.finish(scan);
    await signatures.judge(scan);
    collector.judgeSignatures(scan, signatures, trust);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'error';
    collector.add('unreadable', `could not be read: ${code}`);
  }
  const durationMs = Number((process.hrtime.bigint() - started) / 1_000_000n);
  return collector.verdict(scan, signatures, durationMs);
}

/** The verdict on what could not even be looked at. */
export function unchecked(why: string): Verdict {
  const collector = new Collector();
  collector.add('unreadable', `could not be read: ${why}`);
  const none = { keys: [], outside: [], policy: undefined };
  return collector.verdict(undefined, new Signatures('', none, undefined), 0);
}

/** Where the checkpoints of what is looked at would lie. */
async function folderOf(path: string): Promise<string> {
  const info = await lstat(path).catch(() => undefined);
  return info?.isFile() === true ? dirname(path) : path;
}

async function firstOf(path: string): Promise<number> {
  const { segments, single } = await listSegments(path);
  // A single file that is not the first part of the log gives no tree.
  return single ? Math.max(segments[0]?.first ?? 0, 0) : (segments[0]?.first ?? 0);
}

// A line in it that is no head is a finding about that file, the segments are looked at all the same.
async function headsOf(path: string, collector: Collector): Promise<Head | undefined> {
  try {
    const heads = await readHeads(path);
    if (heads === undefined) {
      collector.notes.push('there is no heads.jsonl here: a cut tail would not be noticed');
    }
    return heads?.newest;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== undefined) throw error;
    collector.findings.add(finding('schema', 'heads.jsonl', 0, (error as Error).message));
    return undefined;
  }
}

class Collector {
  readonly findings = new Findings();
  readonly notes: string[] = [];
  private readonly expected: { head: Head; source: string; met: boolean }[] = [];
  private origin: string | undefined;
  private readonly front = new MissingFront();
  private readonly heartbeats = new HeartbeatWatch();

  expect(head: Head | undefined, source: string, upTo: number | undefined): void {
    if (head === undefined || head.size === 0 || head.size > (upTo ?? Infinity)) return;
    this.expected.push({ head, source, met: false });
  }

  see(record: Envelope, chain: Chain): Failure | undefined {
    this.front.see(record);
    this.heartbeats.see(record);
    if (record.type === 'log.genesis' || record.type === 'log.pruned') {
      this.origin = String(record.data['origin']);
    }
    if (record.type === 'log.loss.acknowledged') {
      const { expected_size: was, found_size: found } = record.data;
      this.notes.push(
        `record ${record.seq}: a loss was acknowledged (${String(was)} records expected, ${String(found)} found)`,
      );
    }
    if (record.type === 'key.created' && record.data['lost'] !== undefined) {
      this.notes.push(
        `record ${record.seq}: the key before was given up, nothing of it vouches for this one`,
      );
    }
    for (const expected of this.expected) {
      if (expected.head.size !== chain.seq) continue;
      expected.met = true;
      if (expected.head.hash !== chain.head) {
        const detail = `the record is not the one that ${expected.source} names`;
        return { reason: 'hash_mismatch', seq: record.seq, detail };
      }
    }
    return undefined;
  }

  finish(scan: Scan): void {
    const { chain, tail, first } = scan;
    const records = chain.seq - first;
    if (scan.strays.length > 0) {
      this.notes.push(
        `${scan.strays.length} files in the folder are no segments and were left alone`,
      );
    }
    if (scan.failure !== undefined) return;
    for (const { head, source, met } of this.expected) {
      // A remembered head from before the part that is looked at says nothing about it.
      if (met || head.size <= first) continue;
      const detail = `${source} knows ${head.size} records, here are ${chain.seq}`;
      this.add('rolled_back', detail, scan);
    }
    if (records === 0) this.add('empty', 'there are no records: nothing to check');
    if (tail !== undefined) {
      const detail = `${tail.bytes} bytes without a line feed at the end: a crash, or a record being written`;
      const torn = finding('torn_tail', tail.segment.name, chain.seq, detail);
      this.findings.add({ ...torn, offset: tail.offset });
    }
    if (first > 0 && scan.single) this.add('partial', `records 0 to ${first - 1} are not here`);
    if (first > 0 && !scan.single) this.judgeFront(first);
    const open = [...chain.runs].filter(([, run]) => !run.closed).map(([id]) => id);
    if (open.length > 0) {
      const more = open.length > 5 ? ', …' : '';
      const detail = `${open.length} runs are not closed: ${open.slice(0, 5).join(', ')}${more}`;
      this.add('run_incomplete', detail, undefined);
    }
    const { gap } = this.heartbeats;
    if (gap !== undefined) this.findings.add(finding('heartbeat_gap', '', gap.seq, gap.detail));
  }

  /** What no signature covers, or none of somebody outside. */
  judgeSignatures(scan: Scan, signatures: Signatures, trust: TrustRead): void {
    const { signed, trusted, witnessed } = signatures.assurance;
    for (const one of signatures.findings) this.findings.add(one);
    this.notes.push(...signatures.notes);
    const { seq: size } = scan.chain;
    if (scan.failure !== undefined || size === scan.first) return;
    this.judgePruning(scan, signatures, trust.keys.length > 0 ? trusted : (signed?.size ?? 0));
    const isMet = this.expected.some((one) => one.met && one.source !== 'heads.jsonl');
    if (trust.keys.length > 0 && size - trusted > unsignedMax) {
      const detail = `nothing that is pinned vouches for records ${trusted} to ${size - 1}`;
      this.findings.add(finding('unsigned', '', trusted, detail));
    } else if (trust.keys.length > 0 && trusted === 0) {
      this.findings.add(
        finding('unsigned', '', 0, 'nothing that is pinned vouches for any record'),
      );
    } else if (signatures.isSigned && trusted === 0 && !isMet) {
      const detail = `its keys are known from itself only: it is internally consistent${signed === undefined ? '' : ' and signed'}, which anybody can make`;
      this.findings.add(finding('unpinned', '', 0, detail));
    }
    const { policy } = trust;
    if (policy === undefined) return;
    const anchored = policy.quorum === 'none' ? (signed?.size ?? 0) : (witnessed?.size ?? 0);
    if (anchored === 0 || size - anchored > (policy.maxUnanchored ?? Infinity)) {
      const detail = `the policy asks for more: ${size - anchored} records are not witnessed`;
      this.findings.add(finding('unanchored', '', anchored, detail));
    }
  }

  /** A record that lets the front go counts once it is signed: anybody could chain one on. */
  private judgePruning(scan: Scan, signatures: Signatures, signed: number): void {
    const { pruning } = this.front;
    if (scan.first === 0 || scan.single || pruning === undefined) return;
    if (!signatures.isSigned || !signatures.hasTree || pruning.seq < signed) return;
    const detail = `record ${pruning.seq}, which lets it go, is not covered by a checkpoint`;
    this.findings.add(finding('pruned_undeclared', '', 0, detail), true);
  }

  /** Let go by record: told, and no fault. Gone without one: tampering. */
  private judgeFront(first: number): void {
    const failure = this.front.judge();
    const by = this.front.pruning?.seq;
    if (failure === undefined) {
      this.notes.push(`records 0 to ${first - 1} were pruned, as record ${by ?? 0} says`);
      return;
    }
    this.findings.add(finding(failure.reason, '', failure.seq, failure.detail), true);
  }

  add(reason: Reason, detail: string, scan?: Scan): void {
    const last = scan?.segments.at(-1);
    const place = { ...finding(reason, last?.name ?? '', scan?.chain.seq ?? 0, detail) };
    this.findings.add({ ...place, offset: last?.bytes ?? 0 });
  }

  verdict(scan: Scan | undefined, signatures: Signatures, durationMs: number): Verdict {
    const chain = scan?.chain;
    const first = scan?.first ?? 0;
    const size = chain?.seq ?? 0;
    const { assurance } = signatures;
    const outside = this.expected.find((e) => e.met && e.source !== 'heads.jsonl')?.head.size;
    return {
      ...this.findings.summary,
      records: size - first,
      firstSeq: first,
      lastGoodSeq: size > first ? size - 1 : -1,
      head: { size, hash: size > first ? (chain?.head ?? zeroHash) : zeroHash },
      origin: this.origin,
      segments: scan?.segments.length ?? 0,
      bytes: scan?.bytes ?? 0,
      notes: this.notes,
      runs: chain?.runs.size ?? 0,
      openRuns: [...(chain?.runs.values() ?? [])].filter((run) => !run.closed).length,
      ...assurance,
      trusted: Math.max(assurance.trusted, outside ?? 0),
      reach: reachOf({ first, size, outside, isSigned: signatures.isSigned, ...assurance }),
      durationMs,
    };
  }
}

type TrustRead = Exclude<ReturnType<typeof readTrust>, string>;

function finding(reason: Reason, file: string, seq: number, detail: string): Finding {
  return { reason, file, offset: 0, seq, detail };
}
