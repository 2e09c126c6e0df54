import { open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { hashBytes } from '#verifier/tlog/merkle.ts';
import { fromBase64 } from '#verifier/tlog/note.ts';
import { syncFolder } from './key-files.ts';

/** What a signer remembers. Whole or not there: it is replaced, never written over. */
export type Kept = {
  format: 1;
  origin: string;
  epoch: number;
  size: number;
  /** Base64, as in the notes. */
  root: string;
  last_note?: string;
  pending?: { epoch: number };
  final_note?: string;
  lost?: { vkey: string; size: number; root: string };
};

/** Undefined where there never was one. Throws where it is not what a signer wrote. */
export async function readState(path: string): Promise<Kept | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const kept = JSON.parse(text) as Kept;
  const isWhole =
    kept.format === 1 &&
    typeof kept.origin === 'string' &&
    Number.isSafeInteger(kept.epoch) &&
    Number.isSafeInteger(kept.size) &&
    fromBase64(kept.root)?.length === hashBytes;
  if (!isWhole) throw new Error(`${path} is not the state of a signer`);
  return kept;
}

/** Durable once it resolves: no signature is given away before. */
export async function writeState(path: string, kept: Kept): Promise<void> {
  const fresh = `${path}.new`;
  {
    await using file = await open(fresh, 'w', 0o600);
    await file.writeFile(`${JSON.stringify(kept)}\n`);
    await file.sync();
  }
  await rename(fresh, path);
  await syncFolder(dirname(path));
}
