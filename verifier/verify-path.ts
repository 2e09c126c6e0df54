import { lstat, open, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { readBundle } from './bundle/read.ts';
import { verifyBundle } from './bundle/verify.ts';
import { noteBytesMax } from './tlog/note.ts';
import { verifyProof } from './proof.ts';
import { readTrust } from './trust.ts';
import type { Verdict } from './verdict.ts';
import { unchecked, verifyLog, type VerifyOptions } from './verify.ts';

export type PathOptions = VerifyOptions & {
  /** With a `.tlog-proof`: the line of the record. */
  record?: Uint8Array | undefined;
};

type Kind = 'log' | 'bundle' | 'proof';

/**
 * Checks whatever lies there: a log's folder, copied segments, one segment, the extract of a run as
 * a folder or as a tar, or a proof of one record. Never throws for what it finds.
 */
export async function verifyPath(path: string, options: PathOptions = {}): Promise<Verdict> {
  let kind: Kind;
  try {
    kind = await kindOf(path);
    if (kind === 'log') return await verifyLog(path, options);
    const trust = readTrust(options);
    if (typeof trust === 'string') return unchecked(trust);
    if (kind === 'proof') {
      if (options.record === undefined) return unchecked('a proof needs the line of its record');
      return verifyProof(await readFile(path), Buffer.from(options.record), trust);
    }
    const files = await readBundle(path);
    return typeof files === 'string' ? unchecked(files) : verifyBundle(files, trust);
  } catch (error) {
    return unchecked((error as NodeJS.ErrnoException).code ?? 'error');
  }
}

const proofHead = Buffer.from('c2sp.org/tlog-proof@v1\n');

async function kindOf(path: string): Promise<Kind> {
  const info = await stat(path);
  if (info.isDirectory()) {
    const isThere = async (name: string) =>
      (await lstat(join(path, name)).catch(() => undefined)) !== undefined;
    return (await isThere('manifest.json')) && (await isThere('records.jsonl')) ? 'bundle' : 'log';
  }
  await using file = await open(path, 'r');
  const { buffer: head, bytesRead } = await file.read(Buffer.alloc(512), 0, 512, 0);
  if (head.subarray(0, proofHead.length).equals(proofHead)) {
    return info.size <= 4 * noteBytesMax ? 'proof' : 'log';
  }
  const isTar =
    bytesRead === 512 && head[0] !== 0x7b && head.toString('latin1', 257, 262) === 'ustar';
  return isTar ? 'bundle' : 'log';
}
