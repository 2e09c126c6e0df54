import {
  chmodSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openSecretStore, type SecretStore } from '#daemon/secrets/store.ts';
import { MemoryLog } from '#test/support/memory-log.ts';
import { tempDir } from '#test/support/temp-dir.ts';

const actor = { kind: 'user', auth: 'peer', uid: 1000 } as const;
const uid = process.getuid?.() ?? 0;
const value = Buffer.from('a-value-of-a-secret');

let temp: Awaited<ReturnType<typeof tempDir>>;
let directory: string;
let log: MemoryLog;
let store: SecretStore;

beforeEach(async () => {
  temp = await tempDir();
  directory = join(temp.path, 'secrets');
  log = new MemoryLog();
  store = await openSecretStore({ log, directory, uid, isForeign: false });
});

afterEach(async () => {
  await temp[Symbol.asyncDispose]();
});

const put = (name: string, content: string | Buffer = value, mode = 0o600) => {
  writeFileSync(join(directory, name), content, { mode });
  chmodSync(join(directory, name), mode);
};

test.each<[string, string, () => void]>([
  ['others can read', 'secret.exposed', () => put('S', value, 0o604)],
  ['the group can read', 'secret.exposed', () => put('S', value, 0o640)],
  ['is a link', 'secret.exposed', () => (put('T'), symlinkSync('T', join(directory, 'S')))],
  [
    'has two names',
    'secret.exposed',
    () => (put('T'), linkSync(join(directory, 'T'), join(directory, 'S'))),
  ],
  ['is a directory', 'secret.exposed', () => mkdirSync(join(directory, 'S'))],
  [
    'is a FIFO',
    'secret.exposed',
    () => execFileSync('mkfifo', ['-m', '600', join(directory, 'S')]),
  ],
  ['is empty', 'secret.invalid', () => put('S', '')],
  ['is too short to be masked', 'secret.invalid', () => put('S', 'seven7!')],
  ['is too short but for white space', 'secret.invalid', () => put('S', '  seven7! \n\n')],
  ['is too short but for line breaks', 'secret.invalid', () => put('S', 'a\nb\nc\nd\ne\n')],
  ['is larger than 64 KiB', 'secret.invalid', () => put('S', Buffer.alloc(64 * 1024 + 1, 0x61))],
  ['is not there', 'secret.unknown', () => {}],
  ['lies in an open directory', 'secret.exposed', () => (put('S'), chmodSync(directory, 0o711))],
])('a secret that %s is not given (%s)', async (_, code, make) => {
  make();
  await expect(store.read('S')).rejects.toMatchObject({ code });
});

test.runIf(uid === 0)('a secret of another user is not given', async () => {
  put('S');
  execFileSync('chown', ['1234', join(directory, 'S')]);
  await expect(store.read('S')).rejects.toMatchObject({ code: 'secret.exposed' });
});

const names = [
  '',
  '.',
  '..',
  '../S',
  '.hidden',
  'a/b',
  '-x',
  '1st',
  'a\nb',
  'a\0b',
  'ä',
  '__proto__',
  'a'.repeat(65),
];
test.each(names)('%j is no name of a secret, and nothing is recorded', async (name) => {
  await expect(store.set(name, value, actor)).rejects.toMatchObject({ code: 'secret.invalid' });
  await expect(store.remove(name, actor)).rejects.toMatchObject({ code: 'secret.invalid' });
  await expect(store.read(name)).rejects.toMatchObject({ code: 'secret.invalid' });
  expect(log.entries).toEqual([]);
});

test('a directory with values in it that others can open refuses the start, an empty one is closed', async () => {
  chmodSync(directory, 0o755);
  const open = async () => openSecretStore({ log, directory, uid, isForeign: false });
  await open();
  expect(statSync(directory).mode & 0o777).toBe(0o700);
  put('S');
  chmodSync(directory, 0o755);
  await expect(open()).rejects.toMatchObject({ code: 'secret.exposed' });
});

test('where the log is blocked nothing is written or removed', async () => {
  await store.set('KEPT', value, actor);
  log.block();
  await expect(store.set('S', value, actor)).rejects.toMatchObject({ code: 'audit.unavailable' });
  await expect(store.remove('KEPT', actor)).rejects.toMatchObject({ code: 'audit.unavailable' });
  expect(readdirSync(directory)).toEqual(['KEPT']);
});

test('a change that fails is on record as failed', async () => {
  mkdirSync(join(directory, 'S', 'inner'), { recursive: true });
  await expect(store.set('S', value, actor)).rejects.toMatchObject({ code: 'secret.invalid' });
  expect(log.story).toEqual(['secret.set intent', 'secret.set result failed']);
  expect(readdirSync(directory)).toEqual(['S']);
});

test('a secret is set, replaced and removed, by name and size and never by value', async () => {
  await store.set('S', Buffer.from('an-earlier-value'), actor);
  await store.set('S', value, actor);
  expect(await store.read('S')).toEqual(value);
  expect(statSync(join(directory, 'S')).mode & 0o777).toBe(0o600);
  expect(await store.list()).toMatchObject([{ name: 'S', bytes: value.length }]);
  await store.remove('S', actor);
  await expect(store.remove('S', actor)).rejects.toMatchObject({ code: 'secret.unknown' });
  expect(readdirSync(directory)).toEqual([]);
  expect(log.entries.filter(({ stage }) => stage === 'intent')).toMatchObject([
    { type: 'secret.set', actor, data: { name: 'S', bytes: 16 } },
    { type: 'secret.set', actor, data: { name: 'S', bytes: value.length } },
    { type: 'secret.removed', actor, data: { name: 'S' } },
  ]);
  expect(JSON.stringify(log.entries)).not.toContain(value.toString());
});

test('secrets from outside are read as they are and never changed', async () => {
  put('S', value, 0o440);
  put('.other', value);
  chmodSync(directory, 0o550);
  const foreign = await openSecretStore({ log, directory, uid, isForeign: true });
  // A group that may read is the mask of an access list only where all belongs to root.
  if (uid === 0) expect(await foreign.read('S')).toEqual(value);
  expect((await foreign.list()).map(({ name }) => name)).toEqual(['S']);
  await expect(foreign.set('S', value, actor)).rejects.toMatchObject({ code: 'secret.read_only' });
  await expect(foreign.remove('S', actor)).rejects.toMatchObject({ code: 'secret.read_only' });
  expect(readFileSync(join(directory, 'S'))).toEqual(value);
  expect(log.entries).toEqual([]);
});
