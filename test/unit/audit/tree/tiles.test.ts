import { hash } from 'node:crypto';
import { extract, type Header } from 'tar-stream';
import { describe, expect, test } from 'vitest';
import { checkTiles } from '#cli/audit/check-tiles.ts';
import { sampleTiles } from '#test/support/sample-tiles.ts';

/** What is in the tar of a log of so many records. */
async function tilesOf(records: number): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>();
  const tar = extract();
  tar.end(await sampleTiles(records));
  for await (const entry of tar as AsyncIterable<AsyncIterable<Buffer> & { header: Header }>) {
    const blocks = await Array.fromAsync(entry);
    files.set(entry.header.name, Buffer.concat(blocks));
  }
  return files;
}

const sha256 = (...parts: readonly Buffer[]) => hash('sha256', Buffer.concat(parts), 'buffer');

/**
 * A reader written from RFC 6962 and C2SP tlog-tiles alone: the records out of the bundles, the root
 * over them by the definition, and each tile by its definition.
 */
function readByDefinition(files: ReadonlyMap<string, Buffer>): { size: number; wrong: string[] } {
  const [, size = '', root = ''] = (files.get('checkpoint') ?? '').toString().split('\n');
  const records: Buffer[] = [];
  for (let n = 0; records.length < Number(size); n += 1) {
    const left = Number(size) - records.length;
    const name = `tile/entries/${String(n).padStart(3, '0')}${left < 256 ? `.p/${left}` : ''}`;
    const bundle = files.get(name) ?? Buffer.alloc(0);
    if (bundle.length === 0) return { size: 0, wrong: [name] };
    for (let at = 0; at < bundle.length; at += 2 + bundle.readUInt16BE(at)) {
      records.push(bundle.subarray(at + 2, at + 2 + bundle.readUInt16BE(at)));
    }
  }
  const leaves = records.map((record) => sha256(Buffer.from([0]), record));
  const mth = (list: readonly Buffer[]): Buffer => {
    if (list.length === 1) return list[0] ?? root0;
    let k = 1;
    while (2 * k < list.length) k *= 2;
    return sha256(Buffer.from([1]), mth(list.slice(0, k)), mth(list.slice(k)));
  };
  const root0 = sha256();
  const wrong = mth(leaves).toString('base64') === root ? [] : ['the root'];
  let named = 1 + Math.ceil(records.length / 256);
  for (let level = 0; 256 ** level <= leaves.length; level += 1) {
    const span = 256 ** level;
    const count = Math.floor(leaves.length / span);
    for (let n = 0; n * 256 < count; n += 1) {
      const width = Math.min(256, count - n * 256);
      const hashes = Array.from({ length: width }, (_, i) =>
        mth(leaves.slice((n * 256 + i) * span, (n * 256 + i + 1) * span)),
      );
      const name = `tile/${level}/${String(n).padStart(3, '0')}${width < 256 ? `.p/${width}` : ''}`;
      if (files.get(name)?.equals(Buffer.concat(hashes)) !== true) wrong.push(name);
      named += 1;
    }
  }
  if (named !== files.size) wrong.push('there are other files');
  return { size: records.length, wrong };
}

const reader = (files: ReadonlyMap<string, Buffer>) => (name: string) => {
  const bytes = files.get(name);
  return bytes ? Promise.resolve(bytes) : Promise.reject(new Error('not there'));
};

describe('tiles that were changed on their way', () => {
  test('are noticed, whichever byte of whichever file it is', async () => {
    const files = await tilesOf(600);
    expect(await checkTiles(reader(files))).toEqual({ size: 600, tiles: 4, entries: 600 });
    for (const [name, bytes] of files) {
      if (name === 'checkpoint') continue;
      for (const at of [0, bytes.length >> 1, bytes.length - 1]) {
        const changed = Buffer.from(bytes);
        changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
        const doctored = new Map([...files, [name, changed]]);
        expect(await checkTiles(reader(doctored)), `${name} at ${at}`).toBeTypeOf('string');
      }
      const cut = new Map([...files, [name, bytes.subarray(0, -1)]]);
      expect(await checkTiles(reader(cut)), `${name} cut`).toBeTypeOf('string');
    }
  });
});

describe('the tiles of a log', () => {
  test.each([3, 255, 256, 257, 1_000])(
    'of %i records are those of the definition, and no other file is there',
    async (records) => {
      expect(readByDefinition(await tilesOf(records))).toEqual({ size: records, wrong: [] });
    },
  );
});
