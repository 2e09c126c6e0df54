import fc from 'fast-check';
import { expect, test } from 'vitest';
import { UploadHeader } from '#contract/snapshot.ts';
import { isUploadHeader } from '#contract/upload-header.ts';

const digest = `sha256:${'0a'.repeat(32)}`;
const good: unknown[] = [
  { type: 'dir', path: 'a/b' },
  { type: 'symlink', path: 'a', target: '../b' },
  { type: 'file', path: 'a', executable: false, bytes: 0, content: true },
  { type: 'file', path: 'a', executable: true, bytes: 7, content: false, digest },
  { type: 'end', entries: 3 },
];
const values: unknown[] = [
  ['', '.', '..', 'a/../b', '/a', 'a//b', 'a/', 'a\0b', '\ud800', '/b64/YQ==', '/b64/_w=='],
  ['/b64//w==', 'sha256:', digest.toUpperCase(), 'x'.repeat(8193), 'x'.repeat(8192)],
  [-1, 1.5, 2 ** 53, '7', true, null, undefined, [[]], {}, digest],
].flat();
const odd = fc.oneof(fc.constantFrom(...values), fc.string({ unit: 'binary' }), fc.integer());
const keys = 'type path target executable bytes content digest entries mode __proto__ opaque';
const key = fc.constantFrom(...keys.split(' '));
const type = fc.constantFrom('dir', 'symlink', 'file', 'end', 'whiteout', 'toString');

/** What JSON can say, near enough to a header that each rule is met alone. */
const nearly = fc
  .tuple(
    fc.constantFrom(...good),
    fc.array(fc.tuple(key, fc.oneof(odd, type)), { maxLength: 2 }),
    fc.array(key, { maxLength: 1 }),
  )
  .map(([base, changes, gone]) => {
    const members = new Map<string, unknown>(Object.entries(base as object));
    for (const [name, value] of changes) members.set(name, value);
    for (const name of gone) members.delete(name);
    const text = [...members]
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`);
    return JSON.parse(`{${text.join(',')}}`) as unknown;
  });

test('a header read by hand is taken exactly when the schema takes it', () => {
  fc.assert(
    fc.property(fc.oneof(nearly, fc.jsonValue()), (value) => {
      expect(isUploadHeader(value)).toBe(UploadHeader.safeParse(value).success);
    }),
    { numRuns: 3_000 },
  );
});

test.each(good.map((header) => [JSON.stringify(header), header]))('%s is a header', (_, header) => {
  expect(isUploadHeader(header)).toBe(true);
  expect(UploadHeader.parse(header)).toEqual(header);
});
