import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { checkPolicies, openPolicyBook } from '#daemon/policy/book.ts';
import type { EffectivePolicy } from '#daemon/policy/effective.ts';
import { policyInput } from '#test/support/policy-input.ts';
import { MemoryLog } from '#test/support/memory-log.ts';
import { tempDir } from '#test/support/temp-dir.ts';

const shipped = new URL('../../../policies', import.meta.url).pathname;

/** A book over the shipped documents and these. */
async function bookWith(files: Record<string, string>, options: Record<string, string> = {}) {
  await using dir = await tempDir();
  for (const [name, text] of Object.entries(files)) await writeFile(join(dir.path, name), text);
  const log = new MemoryLog();
  const directories = [shipped, dir.path];
  const opening = openPolicyBook({
    log,
    directories,
    ceiling: 'default',
    standard: 'default',
    ...options,
  });
  return { log, book: await opening.catch((error: unknown) => error as never) };
}

/** A document that would allow more than the one that ships. */
const generous = async () => {
  const text = await readFile(join(shipped, 'default.yaml'), 'utf8');
  return text.replace('name: default', 'name: generous').replace('memory: 2GiB', 'memory: 64GiB');
};

test('a document that cannot be checked is on record and refuses the start', async () => {
  const { log, book } = await bookWith({ 'wide.yaml': 'version: 1\nname: wide\nnetwork: host\n' });
  expect(book).toMatchObject({ code: 'policy.invalid' });
  expect(log.story).toEqual(['policy.rejected denied']);
  expect(log.of('policy.rejected')[0]?.data.source).toMatch(/wide\.yaml$/);
});

test('a policy has the name of its file, and no name is there twice', async () => {
  const text = await generous();
  expect((await bookWith({ 'other.yaml': text })).book).toMatchObject({ code: 'policy.invalid' });
  const again = text.replace('name: generous', 'name: default');
  expect((await bookWith({ 'default.yaml': again })).book).toMatchObject({
    code: 'policy.invalid',
    message: expect.stringContaining('default') as string,
  });
});

test('a folder that cannot be read refuses the start, and the message names the setting', async () => {
  const parts = { log: new MemoryLog(), ceiling: 'default', standard: 'default' };
  await expect(
    openPolicyBook({ ...parts, directories: [shipped, '/nowhere/at/all'] }),
  ).rejects.toMatchObject({
    code: 'policy.invalid',
    hint: expect.stringContaining('policies') as string,
  });
});

test('a ceiling that is not there refuses the start, an unknown name names the known ones', async () => {
  expect((await bookWith({}, { ceiling: 'sky' })).book).toMatchObject({ code: 'policy.unknown' });
  const { book } = await bookWith({});
  expect(() => book.get('sky')).toThrow(
    expect.objectContaining({ code: 'policy.unknown', hint: 'known: ci, default, strict' }),
  );
  expect(() => book.get('__proto__')).toThrow(expect.objectContaining({ code: 'policy.unknown' }));
});

test('nothing goes beyond the ceiling, whether it lies in a folder or came with a request', async () => {
  const text = await generous();
  const { book } = await bookWith({ 'generous.yaml': text });
  const top = book.get('default').policy.limits.memoryBytes;
  for (const entry of [book.get('generous'), book.fromText(text, 'mine.yaml')]) {
    expect(entry.policy.limits.memoryBytes).toBe(top);
    expect(entry.narrowed.join()).toContain('memory');
  }
});

test('under a narrow ceiling the standard policy is narrow too', async () => {
  const { book } = await bookWith({}, { ceiling: 'strict' });
  expect(book.byDefault().policy.tools).toEqual(['npm', 'node']);
  expect(book.byDefault().policy.provision.registries).toEqual([]);
});

test('what came with a request is refused with its lines', async () => {
  const { book } = await bookWith({});
  const broken = (await generous()).replace('seccomp: required', 'seccomp: off');
  expect(() => book.fromText(broken, 'mine.yaml')).toThrow(
    expect.objectContaining({ code: 'policy.invalid' }),
  );
  try {
    book.fromText(broken, 'mine.yaml');
  } catch (error) {
    const [place] = (error as { places: { file?: string; line?: number }[] }).places;
    expect(place?.file).toBe('mine.yaml');
    expect(broken.split('\n')[(place?.line ?? 0) - 1]).toContain('seccomp');
  }
});

test('each loaded document is on record with the digest that it has', async () => {
  const { log, book } = await bookWith({});
  expect(log.of('policy.loaded').map(({ data }) => data.name)).toEqual(['ci', 'default', 'strict']);
  const row = book.list().find(({ ceiling }) => ceiling);
  expect(row?.name).toBe('default');
  expect(log.of('policy.loaded')[1]?.data.policy).toBe(row?.digest);
});

test('a check without a log says the same', async () => {
  const names = { ceiling: 'default', standard: 'strict' };
  await expect(checkPolicies({ directories: [shipped], ...names })).resolves.toHaveLength(3);
  await expect(
    checkPolicies({ directories: [shipped], ...names, standard: 'sky' }),
  ).rejects.toMatchObject({ code: 'policy.unknown' });
});

test('a policy that was kept before there were rules is what its lists say', async () => {
  const { book } = await bookWith({});
  const { documents: _documents, argv: _argv, mounts: _mounts, ...old } = book.get('ci').policy;
  const again = book.again(old as EffectivePolicy).policy;
  expect(again.tools).toEqual(old.tools);
  expect(again.documents.map(({ name }) => name)).toEqual(['default', 'ci']);
  expect(book.judge(again, policyInput()).effect).toBe('allow');
  const make = policyInput({ task: { tool: 'make', args: [] } });
  expect(book.judge(again, make).effect).toBe('deny');
});
