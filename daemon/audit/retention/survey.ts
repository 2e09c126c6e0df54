import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { OrchestraError } from '#contract/errors.ts';
import type { RecordData } from '#contract/records.ts';
import { segmentName } from '#verifier/segments.ts';
import type { Log } from '../types.ts';

export type SegmentFacts = RecordData<'log.pruned'>['segments'][number] & {
  /** The earliest and the latest time in it: a clock may have been set. UTC milliseconds. */
  earliest: number;
  latest: number;
  /** Of each run with records in it, how many it has up to there, and the hash of the last. */
  tips: Map<string, { records: number; last: string }>;
};

/** Reads a closed segment, each line chained to the next, and its file as it lies there. */
export async function surveySegment(
  { dir, log }: { dir: string; log: Pick<Log, 'read'> },
  { first, next }: { first: number; next: number },
  signal?: AbortSignal,
): Promise<SegmentFacts> {
  const facts = { first_seq: first, records: 0, bytes: 0, sha256: '', last: '' };
  const tips: SegmentFacts['tips'] = new Map();
  let [earliest, latest] = [Infinity, -Infinity];
  for await (const { record, hash, length } of log.read({ from: first, to: next })) {
    signal?.throwIfAborted();
    facts.records += 1;
    facts.bytes += length + 1;
    facts.last = hash;
    const at = Date.parse(record.ts);
    [earliest, latest] = [Math.min(earliest, at), Math.max(latest, at)];
    if (record.run !== undefined) {
      tips.set(record.run, { records: (record.rseq ?? 0) + 1, last: hash });
    }
  }
  const file = await hashFile(join(dir, 'segments', segmentName(first)), signal);
  if (facts.records !== next - first || file.bytes !== facts.bytes) {
    throw new OrchestraError('audit.broken', `${segmentName(first)} is not what was written`, {
      hint: 'orchestra audit verify',
    });
  }
  return { ...facts, sha256: file.sha256, earliest, latest, tips };
}

async function hashFile(
  path: string,
  signal: AbortSignal | undefined,
): Promise<{ sha256: string; bytes: number }> {
  const sha256 = createHash('sha256');
  let bytes = 0;
  for await (const chunk of createReadStream(path, signal === undefined ? {} : { signal })) {
    sha256.update(chunk as Buffer);
    bytes += (chunk as Buffer).length;
  }
  return { sha256: sha256.digest('hex'), bytes };
}
