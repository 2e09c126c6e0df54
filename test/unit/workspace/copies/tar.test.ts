import { execFileSync } from 'node:child_process';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { headerOf, padding, type TarEntry } from '#daemon/workspace/copies/tar-header.ts';
import { TarReader } from '#daemon/workspace/copies/tar-reader.ts';

type Read = { entry: TarEntry; bytes: string };

/** In pieces of this size, as a connection might give them. */
function read(tar: Buffer, piece = 100_000): Read[] {
  const all: Read[] = [];
  let done = 0;
  const reader = new TarReader({
    entry: (entry) => void all.push({ entry: { ...entry }, bytes: '' }),
    content: (bytes) => void ((all.at(-1) as Read).bytes += bytes.toString('latin1')),
    done: () => void (done += 1),
  });
  for (let at = 0; at < tar.length; at += piece) reader.take(tar.subarray(at, at + piece));
  reader.end();
  expect(done).toBe(all.length);
  return all;
}

const owner = { uid: 1000, gid: 1000 };
const end = Buffer.alloc(1024);
const entryOf = (change: Partial<TarEntry>): TarEntry => ({
  kind: 'file',
  name: 'w/f',
  target: '',
  mode: 0o644,
  size: 0,
  mtime: 0,
  ...change,
});

test('what is written is read, byte for byte, however it is cut', () => {
  const bytes = fc
    .uint8Array({ minLength: 1, maxLength: 300, min: 1 })
    .map((all) => Buffer.from(all).toString('latin1'));
  const entry = fc.record({
    name: bytes,
    target: bytes,
    kind: fc.constantFrom('file' as const, 'symlink' as const, 'hard link' as const),
    mode: fc.integer({ min: 0, max: 0o7777 }),
    mtime: fc.integer({ min: 0, max: 2 ** 31 }),
    text: fc.string({ maxLength: 1500, unit: 'binary-ascii' }),
  });
  fc.assert(
    fc.property(
      fc.array(entry, { maxLength: 5 }),
      fc.integer({ min: 1, max: 3000 }),
      (all, piece) => {
        const entries = all.map(({ text, ...one }) => ({
          ...one,
          text: one.kind === 'file' ? text : '',
          size: one.kind === 'file' ? text.length : 0,
        }));
        const tar = entries.flatMap(({ text, ...one }) => [
          headerOf(one, owner),
          Buffer.from(text, 'latin1'),
          Buffer.alloc(padding(text.length)),
        ]);
        const got = read(Buffer.concat([...tar, end]), piece);
        expect(got).toEqual(entries.map(({ text, ...one }) => ({ entry: one, bytes: text })));
      },
    ),
  );
});

test('a file may be larger than its header can say', () => {
  const size = 9 * 1024 ** 3 + 1;
  const seen: number[] = [];
  const reader = new TarReader({
    entry: (entry) => void seen.push(entry.size),
    content: () => {},
    done: () => {},
  });
  reader.take(headerOf(entryOf({ size }), owner));
  expect(seen).toEqual([size]);
  expect(() => reader.end()).toThrow(/cut off/);
});

test('another program reads what is written', () => {
  const long = `${'d'.repeat(90)}/${'é'.repeat(90)}`;
  const name = Buffer.from(long).toString('latin1');
  const header = headerOf(entryOf({ name, size: 3 }), owner);
  const tar = Buffer.concat([header, Buffer.from('abc'), Buffer.alloc(509), end]);
  const env = { ...process.env, LC_ALL: 'C.UTF-8' };
  expect(execFileSync('tar', ['-tf', '-'], { input: tar, env }).toString()).toBe(`${long}\n`);
  expect(execFileSync('tar', ['-xOf', '-'], { input: tar }).toString()).toBe('abc');
});

const broken = (change: (header: Buffer) => void): Buffer => {
  const header = headerOf(entryOf({}), owner);
  change(header);
  return Buffer.concat([header, end]);
};
/** With a sum that is right again. */
const with_ = (at: number, text: string): Buffer =>
  broken((header) => {
    header.write(text, at, 'latin1');
    header.fill(' ', 148, 156);
    const sum = header.reduce((all, byte) => all + byte, 0);
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  });
const pax = (records: string): Buffer => {
  const header = headerOf(entryOf({ name: 'x'.repeat(101) }), owner);
  header.fill(0, 512, 1024).write(records, 512, 'latin1');
  return Buffer.concat([header, end]);
};

test.each<[string, Buffer, RegExp]>([
  ['nothing', Buffer.alloc(0), /cut off/],
  ['half a header', headerOf(entryOf({}), owner).subarray(0, 300), /cut off/],
  ['no end', headerOf(entryOf({}), owner), /cut off/],
  ['a sum that is wrong', broken((header) => header.write('y', 0)), /sum/],
  ['an entry of a kind that nobody knows', with_(156, 'V'), /unknown kind/],
  ['a global header', with_(156, 'g'), /unknown kind/],
  ['a sparse file of GNU', with_(156, 'S'), /unknown kind/],
  ['a size that is no number', with_(124, 'abc'), /number/],
  ['a negative size', with_(124, '\xff'), /range/],
  ['a name that is too long to be one', with_(156, 'L').fill('7', 124, 135), /sum|too long/],
  ['a record without a length', pax('path=abc\n'), /malformed/],
  ['a record that is longer than all of them', pax('99999 path=abc\n'), /malformed/],
  ['a record that never ends', pax(`${'1'.repeat(100)} path=abc\n`), /malformed/],
  ['a file with holes', pax('22 GNU.sparse.major=1\n'), /holes/],
  ['a size that is not whole', pax('12 size=1.5\n'), /size/],
  ['a NUL in a name', pax('11 path=a\0\n'.replace('11', '11')), /NUL|malformed/],
])('refuses %s', (_, tar, why) => {
  expect(() => read(tar)).toThrow(why);
});
