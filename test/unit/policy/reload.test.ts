import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { OrchestraError } from '#contract/errors.ts';
import { openPolicyBook, type BookOptions } from '#daemon/policy/book.ts';
import { MemoryLog } from '#test/support/memory-log.ts';
import { tempDir } from '#test/support/temp-dir.ts';

const shipped = new URL('../../../policies', import.meta.url).pathname;

const standard = await readFile(join(shipped, 'default.yaml'), 'utf8');
const site = standard.replace('name: default', 'name: site');

async function openIn(dir: string, options: Partial<BookOptions> = {}) {
  const log = new MemoryLog();
  const file = join(dir, 'site.yaml');
  await writeFile(file, site);
  const book = await openPolicyBook({
    log,
    directories: [shipped, dir],
    ceiling: 'site',
    standard: 'default',
    ...options,
  });
  return { log, book, file };
}

test('a document that went bad leaves everything as it was, and is on record with its place', async () => {
  await using dir = await tempDir();
  const { log, book, file } = await openIn(dir.path);
  const before = book.byDefault().policy;
  await writeFile(
    file,
    `${site}rules:\n  - { id: a, when: task.toool == "x", effect: deny, reason: x }\n`,
  );
  await expect(book.reload()).rejects.toMatchObject({ code: 'policy.invalid' });
  expect(book.byDefault().policy).toBe(before);
  expect(log.of('policy.rejected')[0]?.data).toMatchObject({
    source: file,
    reason: expect.stringMatching(/\d+:\d+ unknown field toool/) as string,
  });
  const { rows, refused } = await book.compare();
  expect(rows.find(({ name }) => name === 'site')?.on_disk).toBe('changed');
  expect(refused).toContain('site.yaml');
});

test('what refuses all documents together refuses the reload', async () => {
  await using dir = await tempDir();
  let isRefused = false;
  const check = () => {
    if (isRefused) throw new OrchestraError('policy.invalid', 'an invariant does not hold');
  };
  const { book, file, log } = await openIn(dir.path, { check });
  isRefused = true;
  await writeFile(file, site.replace('memory: 2GiB', 'memory: 1GiB'));
  await expect(book.reload()).rejects.toThrow('an invariant does not hold');
  expect(book.byDefault().policy.limits.memoryBytes).toBe(2 * 1024 ** 3);
  expect(log.story.at(-1)).toBe('policy.rejected denied');
});

test('a log that takes nothing leaves everything as it was', async () => {
  await using dir = await tempDir();
  const { book, file, log } = await openIn(dir.path);
  await writeFile(file, site.replace('memory: 2GiB', 'memory: 1GiB'));
  const appendAll = log.appendAll.bind(log);
  log.appendAll = () => Promise.reject(new Error('the disk is full'));
  await expect(book.reload()).rejects.toThrow('the disk is full');
  expect(book.byDefault().policy.limits.memoryBytes).toBe(2 * 1024 ** 3);
  log.appendAll = appendAll;
  await book.reload();
  expect(book.byDefault().policy.limits.memoryBytes).toBe(1024 ** 3);
});

test('a document whose file is gone is in force no more, and the log says so', async () => {
  await using dir = await tempDir();
  const { book, log } = await openIn(dir.path, { ceiling: 'default' });
  await rm(join(dir.path, 'site.yaml'));
  expect((await book.compare()).rows.map(({ on_disk }) => on_disk)).toContain('gone');
  expect((await book.reload()).changed).toEqual([{ name: 'site', changes: ['removed'] }]);
  expect(log.of('policy.removed')[0]?.data.name).toBe('site');
  expect(() => book.get('site')).toThrow('no policy site');
});

test('the ceiling cannot go', async () => {
  await using dir = await tempDir();
  const { book, file } = await openIn(dir.path);
  await rm(file);
  await expect(book.reload()).rejects.toMatchObject({ code: 'policy.unknown' });
  expect(book.get('site').name).toBe('site');
});

test('what changed is on record in short, and nothing where nothing did', async () => {
  await using dir = await tempDir();
  const { book, file, log } = await openIn(dir.path);
  const loaded = log.of('policy.loaded').length;
  expect((await book.reload()).changed).toEqual([]);
  expect(log.of('policy.loaded')).toHaveLength(loaded);
  await writeFile(
    file,
    `${site.replace('tools: [npm, npx, node, sh, exec]', 'tools: [npm, node, make]').replace('memory: 2GiB', 'memory: 1GiB')}
rules:
  - { id: only-npm, when: task.tool == "npm", effect: allow, reason: builds }
`,
  );
  await writeFile(join(dir.path, 'other.yaml'), site.replace('name: site', 'name: other'));
  const { rows, unread } = await book.compare();
  expect(rows.find(({ name }) => name === 'site')?.on_disk).toBe('changed');
  expect(unread).toEqual([join(dir.path, 'other.yaml')]);
  const { changed } = await book.reload();
  expect(changed).toMatchObject([
    { name: 'other', changes: ['added'] },
    {
      name: 'site',
      changes: [
        'rules: from now on',
        'tools: - npx, - sh, - exec, + make',
        'limits.memory: changed',
        'rule only-npm: added',
      ],
    },
  ]);
  const [, record] = log.of('policy.loaded').slice(loaded);
  expect(record?.data).toMatchObject({ name: 'site', changes: changed[1]?.changes });
  expect(record?.data.before).toMatch(/^sha256:/);
  expect((await book.compare()).rows.every(({ on_disk }) => on_disk === 'same')).toBe(true);
});

test('reloads at the same time happen one after the other', async () => {
  await using dir = await tempDir();
  const { book, file, log } = await openIn(dir.path);
  await writeFile(file, site.replace('memory: 2GiB', 'memory: 1GiB'));
  const before = log.of('policy.loaded').length;
  const all = await Promise.all([book.reload(), book.reload(), book.reload()]);
  expect(all.map(({ changed }) => changed.length)).toEqual([1, 0, 0]);
  expect(log.of('policy.loaded')).toHaveLength(before + 1);
});

test('a policy that was accepted before is held to the ceiling of today', async () => {
  await using dir = await tempDir();
  const { book, file } = await openIn(dir.path);
  const accepted = book.byDefault().policy;
  expect(book.today(accepted)).toBe(accepted);
  await writeFile(file, site.replace('memory: 2GiB', 'memory: 1GiB'));
  await book.reload();
  expect(book.today(accepted).limits.memoryBytes).toBe(1024 ** 3);
  expect(book.today(accepted)).toBe(book.today(accepted));
});
