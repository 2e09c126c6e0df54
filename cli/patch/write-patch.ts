import { OrchestraError } from '#contract/errors.ts';
import { bytesOfText } from '#contract/path-bytes.ts';
import type { Change } from '#contract/snapshot.ts';
import { formatSize } from '#contract/units.ts';
import type { Client } from '../client/client.ts';
import type { Context } from '../context.ts';
import { safe } from '../terminal/clean.ts';
import { gitPatch, type Side } from './git-patch.ts';

type Entry = Change['before'];

const fileBytesMax = 64 * 1024 * 1024;

/**
 * What a run changed, for `git apply`: byte for byte, so never onto a terminal, which the content of
 * a file could steer. Directories that hold nothing are no matter of git's.
 */
export async function writePatch(
  { print, io }: Pick<Context, 'print' | 'io'>,
  client: Client,
  { id, items }: { id: string; items: readonly Change[] },
): Promise<void> {
  if (io.stdout.isTTY === true) {
    throw new OrchestraError('usage.invalid', 'A patch is not for a terminal to show', {
      hint: `orchestra diff ${id} --patch > changes.patch`,
    });
  }
  for (const { path, before, after } of items) {
    const [old, now] = [await sideOf(client, id, before), await sideOf(client, id, after)];
    if (old === undefined && now === undefined) continue;
    await print.bytes(Buffer.from(gitPatch(bytesOfText(path), old, now), 'utf8'));
  }
}

async function sideOf(client: Client, id: string, entry: Entry): Promise<Side | undefined> {
  if (entry === undefined || entry.type === 'dir') return undefined;
  if (entry.type === 'symlink') {
    return { mode: '120000', content: Buffer.from(bytesOfText(entry.target), 'latin1') };
  }
  if (entry.bytes > fileBytesMax) {
    throw new OrchestraError(
      'request.too_large',
      `${safe(entry.path)} has ${formatSize(entry.bytes)}: too much for a patch`,
      { hint: `orchestra apply ${id}` },
    );
  }
  const chunks: Buffer[] = [];
  const body = await client.bytes('runBlob', { params: { id, digest: entry.digest } });
  for await (const chunk of body as AsyncIterable<Buffer>) chunks.push(chunk);
  return { mode: entry.executable ? '100755' : '100644', content: Buffer.concat(chunks) };
}
