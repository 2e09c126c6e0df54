import { isUtf8 } from 'node:buffer';
import { whyNotCanonical } from '../canonical.ts';
import { millisOf } from '../clock.ts';
import { whyNotRecord, type Envelope } from '../envelope.ts';
import { lineBytesMax } from '../limits.ts';
import type { Reason } from '../verdict.ts';

/** A line that stands by itself, held to every rule that needs no neighbour. */
export function readRecord(line: Buffer): Envelope | { reason: Reason; detail: string } {
  if (line.length > lineBytesMax)
    return { reason: 'oversize', detail: `it has ${line.length} bytes` };
  const value = parseJson(line);
  if (value === undefined) return { reason: 'non_canonical', detail: 'the line is not JSON' };
  const why = whyNotCanonical(value);
  if (why !== undefined) return { reason: 'non_canonical', detail: why };
  if (!Buffer.from(JSON.stringify(value)).equals(line)) {
    return { reason: 'non_canonical', detail: 'written again, the record gives other bytes' };
  }
  const whyNot = whyNotRecord(value);
  if (whyNot !== undefined) return { reason: 'schema', detail: whyNot };
  const record = value as Envelope;
  if (millisOf(record.ts) === undefined) return { reason: 'schema', detail: 'the time is no time' };
  return record;
}

/** Undefined where these bytes are no JSON; null is nothing that we ever wrote. */
export function parseJson(bytes: Buffer): unknown {
  if (!isUtf8(bytes)) return undefined;
  try {
    return JSON.parse(bytes.toString('utf8')) ?? undefined;
  } catch {
    return undefined;
  }
}

/** Cut at byte 10; what follows the last one is handed over as `torn`. */
export function linesOf(bytes: Buffer): { lines: Buffer[]; torn: Buffer; offsets: number[] } {
  const lines: Buffer[] = [];
  const offsets: number[] = [];
  let start = 0;
  for (let end = bytes.indexOf(10); end !== -1; end = bytes.indexOf(10, start)) {
    lines.push(bytes.subarray(start, end));
    offsets.push(start);
    start = end + 1;
  }
  return { lines, torn: bytes.subarray(start), offsets };
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Exactly these fields, in any order. */
export function hasFields(
  value: unknown,
  names: readonly string[],
): value is Record<string, unknown> {
  return (
    isObject(value) &&
    Object.keys(value).length === names.length &&
    names.every((name) => Object.hasOwn(value, name))
  );
}

export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
