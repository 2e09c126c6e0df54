import { Chain, type Failure } from './chain.ts';
import type { Envelope } from './envelope.ts';
import { frameFile } from './frame.ts';
import { lineBytesMax } from './limits.ts';
import { listSegments, type SegmentFile } from './segments.ts';
import type { Finding, Head } from './verdict.ts';

export type Place = { segment: SegmentFile; offset: number; length: number };

export type ScanOptions = {
  /** Called for each good record in order. Return a failure to stop there. */
  onRecord?: (record: Envelope, chain: Chain, place: Place) => Failure | undefined;
  /** Stop after this many records. */
  upTo?: number | undefined;
  chunkBytes?: number | undefined;
  /**
   * A head that was noted by whoever had checked or written everything before it. Up to there only
   * the chain is followed: where it arrives at this hash, those are the same bytes, and otherwise
   * the scan fails there with `hash_mismatch`. What was handed out until then counts for nothing.
   */
  seen?: Head | undefined;
};

export type Scan = {
  chain: Chain;
  segments: SegmentFile[];
  strays: string[];
  /** One file was named, not a folder. */
  single: boolean;
  /** Number of the first record looked at. */
  first: number;
  /** Bytes of good records. */
  bytes: number;
  failure: Finding | undefined;
  /** Bytes behind the last line feed of the last segment. Only a crash leaves them there. */
  tail: { segment: SegmentFile; offset: number; bytes: number } | undefined;
  /** True where `upTo` ended it. */
  stopped: boolean;
};

/** Reads all segments of a log, in order, up to the first failure. */
export async function scanLog(path: string, options: ScanOptions = {}): Promise<Scan> {
  const { segments, strays, single } = await listSegments(path);
  // What a folder lacks at its front, somebody has to have let go: `MissingFront` judges that.
  const first = single ? await firstSeqOf(segments[0]) : (segments[0]?.first ?? 0);
  const chain = new Chain({ seq: first, partial: first > 0 });
  const scan: Scan = {
    chain,
    segments,
    strays,
    single,
    first,
    bytes: 0,
    failure: undefined,
    tail: undefined,
    stopped: false,
  };
  for (const [index, segment] of segments.entries()) {
    if (scan.stopped) break;
    const named = single && segment.first < 0 ? chain.seq : segment.first;
    if (index > 0 && !chain.isSealed && scan.failure === undefined) {
      // Either its end was cut or the new one is not ours: both are no crash.
      const reason = named > chain.seq ? 'missing_segment' : 'schema';
      scan.failure = at(segment, 0, {
        reason,
        seq: chain.seq,
        detail: 'the segment before has no end',
      });
    } else if (named !== chain.seq) {
      const detail = `the log goes on at ${chain.seq}, this file is named ${segment.name}`;
      scan.failure = at(segment, 0, { reason: 'missing_segment', seq: chain.seq, detail });
    }
    if (scan.failure !== undefined) return scan;
    await scanSegment(scan, segment, index === segments.length - 1, options);
    if (scan.failure !== undefined) return scan;
  }
  return scan;
}

async function scanSegment(
  scan: Scan,
  segment: SegmentFile,
  isLast: boolean,
  options: ScanOptions,
): Promise<void> {
  const { chain } = scan;
  const upTo = options.upTo ?? Infinity;
  const seen = options.seen ?? { size: 0, hash: '' };
  chain.beginSegment(chain.seq);
  const framed = await frameFile(
    segment.path,
    (buffer, start, end, offset) => {
      if (chain.seq >= upTo) {
        scan.stopped = true;
        return false;
      }
      const length = end - start;
      const isSeen = chain.seq < seen.size;
      let failure = isSeen
        ? chain.acceptSeen(buffer, start, end)
        : chain.accept(buffer, start, end);
      if (failure === undefined && isSeen && chain.seq === seen.size && chain.head !== seen.hash) {
        const detail = 'the record is not the one that was noted';
        failure = { reason: 'hash_mismatch', seq: chain.seq - 1, detail };
      }
      if (failure === undefined && chain.record !== undefined) {
        scan.bytes += length + 1;
        failure = options.onRecord?.(chain.record, chain, { segment, offset, length });
      }
      if (failure !== undefined) scan.failure = at(segment, offset, failure);
      return failure === undefined;
    },
    { chunkBytes: options.chunkBytes, lineBytesMax },
  );
  if (scan.failure !== undefined) return;
  if (chain.seq >= upTo) scan.stopped = true;
  if (framed.oversize !== undefined) {
    const detail = `the line is longer than ${lineBytesMax} bytes`;
    scan.failure = at(segment, framed.oversize, { reason: 'oversize', seq: chain.seq, detail });
  } else if (framed.tail > 0 && !scan.stopped) {
    if (isLast) {
      scan.tail = { segment, offset: framed.end, bytes: framed.tail };
    } else {
      const detail = `${framed.tail} bytes without a line feed, and a later segment exists`;
      scan.failure = at(segment, framed.end, { reason: 'torn_tail', seq: chain.seq, detail });
    }
  }
}

function at(segment: SegmentFile, offset: number, failure: Failure): Finding {
  return {
    reason: failure.reason,
    file: segment.name,
    offset,
    seq: failure.seq,
    detail: failure.detail,
  };
}

// A copied segment may have any name, so its first record says where it begins.
async function firstSeqOf(segment: SegmentFile | undefined): Promise<number> {
  if (segment === undefined) return 0;
  if (segment.first >= 0) return segment.first;
  let first = 0;
  await frameFile(
    segment.path,
    (buffer, start, end) => {
      const match = /"seq":(\d{1,16}),"sev":/.exec(buffer.toString('latin1', start, end));
      first = Number(match?.[1] ?? 0);
      return false;
    },
    { chunkBytes: lineBytesMax + 1, lineBytesMax },
  );
  return first;
}
