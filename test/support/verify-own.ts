import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Verdict } from '#verifier/verdict.ts';
import { verifyLog } from '#verifier/verify.ts';

/** Verifies a log with the key that somebody would have written down who saw it begin. */
export function verifyOwn(audit: string): Promise<Verdict> {
  return verifyLog(audit, { keys: firstKeysOf(audit) });
}

export function firstKeysOf(audit: string): string[] {
  const [name = ''] = readdirSync(join(audit, 'segments')).toSorted();
  const lines = readFileSync(join(audit, 'segments', name), 'utf8').split('\n');
  const created = lines.find((line) => line.includes('"type":"key.created"'));
  if (created === undefined) return [];
  const { data } = JSON.parse(created) as { data: { vkey: string } };
  return [data.vkey];
}
