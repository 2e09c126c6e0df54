import * as fs from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { BlobStore } from '#daemon/artifacts/blobs.ts';
import { collect } from '#daemon/artifacts/collect.ts';
import { openXattrs } from '#daemon/artifacts/xattr.ts';
import { buildAutomaton } from '#daemon/secrets/automaton.ts';
import { spellingsOf } from '#daemon/secrets/spellings.ts';
import { tempDir } from '#test/support/temp-dir.ts';

const value = 'a-value-of-a-secret';
const secrets = buildAutomaton(spellingsOf(Buffer.from(value)));

async function taken(files: Readonly<Record<string, string>>) {
  await using temp = await tempDir();
  const blobs = await BlobStore.open(join(temp.path, 'blobs'));
  const top = join(temp.path, 'top');
  for (const [path, text] of Object.entries(files)) {
    fs.mkdirSync(join(top, path, '..'), { recursive: true });
    fs.writeFileSync(join(top, path), text);
  }
  const outputs = ['dist', 'other'].map((path) => ({ name: path, path, required: true }));
  const limits = { filesMax: 100, bytesMax: 10_000_000, depthMax: 10 };
  const found = collect({ roots: [top], outputs, limits, secrets }, blobs.directory, openXattrs());
  const kept = fs
    .readdirSync(blobs.directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => fs.readFileSync(join(entry.parentPath, entry.name), 'utf8'));
  return { ...found, kept };
}

const spelt = Buffer.from(`user:${value}`).toString('base64');
test.each<[string, Record<string, string>]>([
  ['in a file', { 'dist/a': 'x', 'dist/b': `key=${value}\n` }],
  ['in base64', { 'dist/a': spelt }],
  ['across two blocks', { 'dist/a': `${'x'.repeat((1 << 20) - 7)}${value}` }],
  ['in a name', { [`dist/${value}.txt`]: 'x' }],
])(
  'an output with a secret %s is rejected and never stored, the others are taken',
  async (_, files) => {
    const { artifacts, rejected, kept } = await taken({ ...files, other: 'fine' });
    expect(rejected).toMatchObject([{ name: 'dist', reason: 'holds a secret' }]);
    expect(artifacts.map(({ name }) => name)).toEqual(['other']);
    expect(kept.filter((text) => text.includes(value) || text.includes(spelt))).toEqual([]);
  },
);

test('an output without one is what it is without secrets', async () => {
  const { artifacts, rejected } = await taken({ 'dist/a': 'a-value-of-a-secre', other: '' });
  expect([artifacts.length, rejected]).toEqual([2, []]);
});
