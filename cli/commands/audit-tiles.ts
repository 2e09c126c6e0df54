import { lstat, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { extract, type Header } from 'tar-stream';
import { exitCodes, OrchestraError } from '#contract/errors.ts';
import type { Command } from '../context.ts';
import { safe } from '../terminal/clean.ts';
import { unwritable } from '../write-file.ts';
import { checkTiles } from '../audit/check-tiles.ts';

const nameOf = /^(?:checkpoint|tile\/(?:\d{1,2}|entries)\/(?:x\d{3}\/)*\d{3}(?:\.p\/\d{1,3})?)$/;
/** A bundle of the longest records. */
const fileBytesMax = 256 * 65_537;

/** The log as files that any web server can give away, checked here before it is called done. */
export const auditTiles: Command = async (context, [dir = '']) => {
  const { print } = context;
  const target = path.resolve(context.cwd, dir);
  const there = await lstat(target).catch(() => undefined);
  if (there !== undefined && (!there.isDirectory() || (await readdir(target)).length > 0)) {
    throw new OrchestraError('usage.invalid', `${target} is there already`, {
      hint: 'name a folder that is empty, or not there yet',
    });
  }
  const client = await context.client();
  const body = await client.bytes('auditTiles', { timeoutMs: 60 * 60_000 });
  await unpack(body, target);
  const found = await checkTiles((name) => readFile(path.join(target, name)));
  if (typeof found === 'string') {
    throw new OrchestraError('audit.broken', `What came is not the log that is signed: ${found}`, {
      hint: 'orchestra audit verify',
    });
  }
  if (print.json) print.object({ path: target, ...found });
  else print.line(`OK  ${found.size} records, ${found.tiles} tiles  ${safe(target)}`);
  return exitCodes.ok;
};

async function unpack(body: AsyncIterable<Uint8Array>, target: string): Promise<void> {
  const tar = extract();
  const writing = (async () => {
    for await (const entry of tar as AsyncIterable<Readable & { header: Header }>) {
      const { name, type, size } = entry.header;
      if (type !== 'file' || !nameOf.test(name) || size > fileBytesMax) {
        throw new OrchestraError('audit.broken', 'What came holds what no log has');
      }
      const file = path.join(target, name);
      await mkdir(path.dirname(file), { recursive: true });
      const blocks: Buffer[] = [];
      for await (const block of entry) blocks.push(block as Buffer);
      await writeFile(file, Buffer.concat(blocks), { flag: 'wx' });
    }
  })();
  try {
    await Promise.all([pipeline(body, tar), writing]);
  } catch (cause) {
    throw cause instanceof OrchestraError ? cause : unwritable(target, cause);
  }
}
