import { stat } from 'node:fs/promises';
import type { Chain, Failure } from './chain.ts';
import type { Envelope } from './envelope.ts';
import { readHeads } from './heads.ts';
import { zeroHash } from './limits.ts';
import { MissingFront } from './pruned.ts';
import { scanLog, type Scan } from './scan.ts';
import type { Finding, Head, Reason, Verdict, VerifyExit } from './verdict.ts';

export type VerifyOptions = {
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
  const collector = new Collector();
  let scan: Scan | undefined;
  try {
    const info = await stat(path);
    // Heads first: the log only grows, so one that is noted now has to be found below.
    const heads = info.isDirectory() ? await headsOf(path, collector) : undefined;
    collector.expect(heads, 'heads.jsonl', options.upTo);
    collector.expect(options.expectedHead, 'the expected head', undefined);
    scan = await scanLog(path, {
      upTo: options.upTo,
      chunkBytes: options.chunkBytes,
      onRecord: (record, chain) => collector.see(record, chain),
    });
    if (scan.failure !== undefined) collector.findings.push(scan.failure);
    collector.finish(scan);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'error';
    collector.add('unreadable', 2, `could not be read: ${code}`);
  }
  const durationMs = Number((process.hrtime.bigint() - started) / 1_000_000n);
  return collector.verdict(scan, durationMs);
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
    collector.findings.push(finding('schema', 'heads.jsonl', 0, (error as Error).message));
    return undefined;
  }
}

class Collector {
  readonly findings: Finding[] = [];
  readonly notes: string[] = [];
  private readonly expected: { head: Head; source: string; met: boolean }[] = [];
  private exit: VerifyExit = 0;
  private origin: string | undefined;
  private readonly front = new MissingFront();

  expect(head: Head | undefined, source: string, upTo: number | undefined): void {
    if (head === undefined || head.size === 0 || head.size > (upTo ?? Infinity)) return;
    this.expected.push({ head, source, met: false });
  }

  see(record: Envelope, chain: Chain): Failure | undefined {
    this.front.see(record);
    if (record.type === 'log.genesis' || record.type === 'log.pruned') {
      this.origin = String(record.data['origin']);
    }
    if (record.type === 'log.loss.acknowledged') {
      const { expected_size: was, found_size: found } = record.data;
      this.notes.push(
        `record ${record.seq}: a loss was acknowledged (${String(was)} records expected, ${String(found)} found)`,
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
      this.add('rolled_back', 1, detail, scan);
    }
    if (records === 0) this.add('empty', 2, 'there are no records: nothing to check');
    if (tail !== undefined) {
      const detail = `${tail.bytes} bytes without a line feed at the end: a crash, or a record being written`;
      this.findings.push({
        ...finding('torn_tail', tail.segment.name, chain.seq, detail),
        offset: tail.offset,
      });
      this.raise(3);
    }
    if (first > 0 && scan.single) this.add('partial', 3, `records 0 to ${first - 1} are not here`);
    if (first > 0 && !scan.single) this.judgeFront(first);
    const open = [...chain.runs].filter(([, run]) => !run.closed).map(([id]) => id);
    if (open.length > 0) {
      const more = open.length > 5 ? ', …' : '';
      this.add(
        'run_incomplete',
        3,
        `${open.length} runs are not closed: ${open.slice(0, 5).join(', ')}${more}`,
      );
    }
  }

  /** Let go by record: told, and no fault. Gone without one: tampering. */
  private judgeFront(first: number): void {
    const failure = this.front.judge();
    const by = this.front.pruning?.seq;
    if (failure === undefined) {
      this.notes.push(`records 0 to ${first - 1} were pruned, as record ${by ?? 0} says`);
      return;
    }
    this.findings.push(finding(failure.reason, '', failure.seq, failure.detail));
    this.raise(1);
  }

  add(reason: Reason, exit: VerifyExit, detail: string, scan?: Scan): void {
    const last = scan?.segments.at(-1);
    const place = { ...finding(reason, last?.name ?? '', scan?.chain.seq ?? 0, detail) };
    this.findings.push({ ...place, offset: last?.bytes ?? 0 });
    this.raise(exit);
  }

  verdict(scan: Scan | undefined, durationMs: number): Verdict {
    const chain = scan?.chain;
    const first = scan?.first ?? 0;
    const size = chain?.seq ?? 0;
    // Whatever raised no exit of its own is an inconsistency.
    if (scan?.failure !== undefined || this.findings.some((f) => f.file === 'heads.jsonl'))
      this.exit = 1;
    return {
      exit: this.exit,
      verdict: ({ 0: 'verified', 1: 'tampered', 2: 'unchecked', 3: 'incomplete' } as const)[
        this.exit
      ],
      records: size - first,
      firstSeq: first,
      lastGoodSeq: size > first ? size - 1 : -1,
      head: { size, hash: size > first ? (chain?.head ?? zeroHash) : zeroHash },
      origin: this.origin,
      segments: scan?.segments.length ?? 0,
      bytes: scan?.bytes ?? 0,
      findings: this.findings,
      notes: this.notes,
      runs: chain?.runs.size ?? 0,
      openRuns: [...(chain?.runs.values() ?? [])].filter((run) => !run.closed).length,
      reach: this.reach(first, size),
      durationMs,
    };
  }

  private reach(first: number, size: number): string {
    if (size <= first) return 'nothing was checked';
    const outside = this.expected.find((e) => e.met && e.source !== 'heads.jsonl');
    const range = `records ${first} to ${size - 1}: chain only`;
    return outside === undefined
      ? `${range}; nothing outside this host vouches for it`
      : `${range}; a head remembered elsewhere vouches for the first ${outside.head.size}`;
  }

  // Tampering outranks everything, then what could not be checked, then what is incomplete.
  private raise(exit: VerifyExit): void {
    const rank: Record<VerifyExit, number> = { 0: 0, 3: 1, 2: 2, 1: 3 };
    if (rank[exit] > rank[this.exit]) this.exit = exit;
  }
}

function finding(reason: Reason, file: string, seq: number, detail: string): Finding {
  return { reason, file, offset: 0, seq, detail };
}
