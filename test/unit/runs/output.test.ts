import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { OutputFile } from '#daemon/runs/output.ts';
import { tempDir } from '#test/support/temp-dir.ts';

type Chunk = { t: number; s: 1 | 2; d?: string; b?: string };

async function chunks(lines: AsyncIterable<Uint8Array>): Promise<Chunk[]> {
  const text = Buffer.concat(await Array.fromAsync(lines)).toString('utf8');
  return text === ''
    ? []
    : text
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as Chunk);
}

const bytesOf = ({ d, b }: Chunk) =>
  b === undefined ? Buffer.from(d ?? '') : Buffer.from(b, 'base64');

test('what was written comes back byte for byte, whatever the bytes are', async () => {
  await using dir = await tempDir();
  let n = 0;
  const pieces = fc.array(fc.tuple(fc.constantFrom(1 as const, 2 as const), fc.uint8Array()), {
    maxLength: 8,
  });
  await fc.assert(
    fc.asyncProperty(pieces, async (written) => {
      const output = await OutputFile.create(join(dir.path, `${n++}.ndjson`));
      for (const [stream, bytes] of written) await output.write(stream, bytes);
      await output.close();
      const read = await chunks(output.soFar());
      expect(read.map(({ s }) => s)).toEqual(written.map(([s]) => s));
      expect(read.map((chunk) => bytesOf(chunk).toString('hex'))).toEqual(
        written.map(([, bytes]) => Buffer.from(bytes).toString('hex')),
      );
      await output.remove();
    }),
    { numRuns: 30 },
  );
});

test('text stays readable, and half a character becomes base64', async () => {
  await using dir = await tempDir();
  const output = await OutputFile.create(join(dir.path, 'a', 'out.ndjson'));
  await output.write(1, Buffer.from('grüße\n{"fake":"line"}\n'));
  await output.write(2, Buffer.from('ü').subarray(0, 1));
  await output.close();
  expect(await chunks(output.soFar())).toMatchObject([
    { s: 1, d: 'grüße\n{"fake":"line"}\n' },
    { s: 2, b: 'ww==' },
  ]);
});

test('a follower sees what was there and what comes, and ends with the attempt', async () => {
  await using dir = await tempDir();
  const output = await OutputFile.create(join(dir.path, 'out.ndjson'));
  await output.write(1, Buffer.from('before'));
  const lines = output.follow(new AbortController().signal);
  expect((await chunks(once(lines)))[0]).toMatchObject({ d: 'before' });
  const rest = chunks(lines);
  await output.write(1, Buffer.from('later'));
  await output.close();
  expect(await rest).toMatchObject([{ d: 'later' }]);
});

test('a follower that goes away ends at once, and the attempt does not notice', async () => {
  await using dir = await tempDir();
  const output = await OutputFile.create(join(dir.path, 'out.ndjson'));
  const controller = new AbortController();
  const followed = chunks(output.follow(controller.signal));
  controller.abort();
  expect(await followed).toEqual([]);
  await output.write(1, Buffer.from('on it goes'));
  expect(await chunks(output.soFar())).toHaveLength(1);
  await output.close();
});

test('many followers of one attempt each see all of it', async () => {
  await using dir = await tempDir();
  const output = await OutputFile.create(join(dir.path, 'out.ndjson'));
  const { signal } = new AbortController();
  const followers = Array.from({ length: 20 }, () => chunks(output.follow(signal)));
  for (let n = 0; n < 50; n += 1) await output.write(1, Buffer.from(`${n} `));
  await output.close();
  for (const read of await Promise.all(followers)) expect(read).toHaveLength(50);
});

test('the file is for its owner only, and goes when it is removed, twice if need be', async () => {
  await using dir = await tempDir();
  const output = await OutputFile.create(join(dir.path, 'out.ndjson'));
  expect(statSync(output.path).mode & 0o777).toBe(0o600);
  await output.remove();
  await output.remove();
  expect(existsSync(output.path)).toBe(false);
});

async function* once<T>(items: AsyncGenerator<T>): AsyncGenerator<T> {
  const { value, done } = await items.next();
  if (done !== true) yield value;
}
