import { createHash, hash } from 'node:crypto';
import { constants } from 'node:fs';
import { lstat, open, readdir } from 'node:fs/promises';
import { OrchestraError } from '#contract/errors.ts';
import { textOfBytes, type ByteString } from '#contract/path-bytes.ts';

const entriesMax = 1_000_000;

/**
 * The sha256 by which provenance names what is at a place. Of a file: of its content. Of a
 * directory: of the canonical JSON of the list of what is in it, each directory before its content,
 * names in the order of their bytes, links and special files left out, as when it was collected.
 */
export async function artifactDigest(place: string): Promise<string> {
  const info = await lstat(place).catch((cause: unknown) => {
    throw new OrchestraError('usage.invalid', `${place} cannot be read`, { cause });
  });
  if (info.isFile()) return digestOfFile(Buffer.from(place));
  if (!info.isDirectory()) {
    throw new OrchestraError('usage.invalid', `${place} is neither a file nor a directory`);
  }
  const entries: string[] = [];
  await list(Buffer.from(place), '', entries);
  return hash('sha256', `{"entries":[${entries.join(',')}],"v":1}`, 'hex');
}

async function list(folder: Buffer, prefix: ByteString, entries: string[]): Promise<void> {
  const found = await readdir(folder, { withFileTypes: true, encoding: 'buffer' });
  const byName = found
    .map((entry) => ({ entry, name: entry.name.toString('latin1') }))
    .toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  for (const { entry, name } of byName) {
    if (entries.length >= entriesMax) {
      throw new OrchestraError('usage.invalid', `There are more than ${entriesMax} entries`);
    }
    const bytes = prefix === '' ? name : `${prefix}/${name}`;
    const path = JSON.stringify(textOfBytes(bytes));
    const at = Buffer.concat([folder, Buffer.from('/'), entry.name]);
    if (path.startsWith('"/b64/')) continue;
    if (entry.isDirectory()) {
      entries.push(`{"path":${path},"type":"dir"}`);
      await list(at, bytes, entries);
    } else if (entry.isFile()) {
      const { mode, size } = await lstat(at);
      const facts = `"bytes":${size},"digest":"sha256:${await digestOfFile(at)}"`;
      const isExecutable = (mode & 0o111) !== 0;
      entries.push(`{${facts},"executable":${isExecutable},"path":${path},"type":"file"}`);
    }
  }
}

async function digestOfFile(place: Buffer): Promise<string> {
  await using handle = await open(place, constants.O_RDONLY | constants.O_NOFOLLOW);
  const digest = createHash('sha256');
  for await (const chunk of handle.createReadStream({ autoClose: false })) {
    digest.update(chunk as Buffer);
  }
  return digest.digest('hex');
}
