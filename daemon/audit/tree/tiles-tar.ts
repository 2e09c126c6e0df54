import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { pack, type Pack } from 'tar-stream';
import { spellNote } from '#verifier/tlog/note.ts';
import type { SignedCheckpoint } from '#verifier/tlog/checkpoint.ts';
import type { Log } from '../types.ts';
import type { GrowingTree } from './growing-tree.ts';
import { tilePath, tileWidth } from './tile-path.ts';

type Source = { log: Pick<Log, 'read' | 'first'>; tree: Pick<GrowingTree, 'tile'> };

/**
 * The log as C2SP tlog-tiles lays it out for a web server, as a tar: the checkpoint, the tiles of its
 * tree, and the records in bundles of 256. Bundles that hold a pruned record are left out.
 */
export function tilesTar(source: Source, checkpoint: SignedCheckpoint): Readable {
  const tar = pack();
  fill(tar, source, checkpoint).catch((cause: unknown) => tar.destroy(cause as Error));
  return tar as unknown as Readable;
}

async function fill(tar: Pack, { log, tree }: Source, checkpoint: SignedCheckpoint): Promise<void> {
  const { size, note } = checkpoint;
  await add(tar, 'checkpoint', Buffer.from(spellNote(note)));
  for (let level = 0; size >= tileWidth ** level; level += 1) {
    const hashes = Math.floor(size / tileWidth ** level);
    for (let index = 0; index * tileWidth < hashes; index += 1) {
      const bytes = await tree.tile(level, index, size);
      await add(
        tar,
        tilePath(level, index, Math.min(tileWidth, hashes - index * tileWidth)),
        bytes,
      );
    }
  }
  const firstBundle = Math.ceil(log.first / tileWidth);
  for (let index = firstBundle; index * tileWidth < size; index += 1) {
    const from = index * tileWidth;
    const to = Math.min(from + tileWidth, size);
    const entries: Buffer[] = [];
    for await (const { line } of log.read({ from, to })) {
      const entry = Buffer.from(line);
      const length = Buffer.alloc(2);
      length.writeUInt16BE(entry.length);
      entries.push(length, entry);
    }
    await add(tar, tilePath('entries', index, to - from), Buffer.concat(entries));
  }
  tar.finalize();
}

async function add(tar: Pack, name: string, bytes: Buffer): Promise<void> {
  const mtime = new Date('2000-01-01T00:00:00Z');
  const sink = tar.entry({ name, size: bytes.length, mode: 0o644, mtime });
  await pipeline(Readable.from([bytes]), sink);
}
