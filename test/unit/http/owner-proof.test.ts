import {
  chmod,
  chown,
  link,
  lstat,
  mkdir,
  readdir,
  rename,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { OrchestraError } from '#contract/errors.ts';
import { OwnerChallenge } from '#contract/owner-proof.ts';
import { ownerProof } from '#cli/client/owner-proof.ts';
import { Client } from '#cli/client/client.ts';
import { openAccounts } from '#daemon/access/accounts.ts';
import type { CallerReader } from '#daemon/access/caller.ts';
import { openLog } from '#daemon/audit/log.ts';
import type { Routes } from '#daemon/http/app.ts';
import { ownerReader } from '#daemon/http/owner-proof.ts';
import { serve } from '#daemon/http/server.ts';
import { edgeDeps } from '#test/support/edge.ts';
import { tempDir } from '#test/support/temp-dir.ts';

const self = process.getuid?.() ?? 0;
let now = 0;
let dir: Awaited<ReturnType<typeof tempDir>>;
let directory: string;
let reader: CallerReader;

beforeEach(async () => {
  now = 1000;
  dir = await tempDir();
  directory = join(dir.path, 'owners');
  reader = await ownerReader({
    directory,
    accounts: openAccounts(undefined, () => 0),
    now: () => now,
    missing: 'no koffi',
  });
});
afterEach(() => dir[Symbol.asyncDispose]());

const withNonce = (nonce?: string) =>
  ({
    headers: nonce === undefined ? {} : { authorization: `Orchestra-Owner ${nonce}` },
  }) as IncomingMessage;

async function challenge(nonce?: string): Promise<OwnerChallenge & { error: OrchestraError }> {
  const error = await reader.read(withNonce(nonce)).then(
    () => expect.unreachable('nobody may be let in'),
    (caught: unknown) => caught as OrchestraError,
  );
  expect(error.code).toBe('auth.needed');
  const said = error.places.map(({ pointer = '', message }) => [pointer.slice(1), message]);
  return { ...OwnerChallenge.parse(Object.fromEntries(said)), error };
}

async function make(file: string, time: number, mode = 0o600, text = ''): Promise<void> {
  await writeFile(file, text, { flag: 'wx', mode });
  await chmod(file, mode);
  await utimes(file, time, time);
}

/** What was made for a challenge proves nothing. */
async function refused(nonce: string): Promise<void> {
  await challenge(nonce);
}

test('a file of the name and with the times that were asked for proves its owner, once and for later', async () => {
  const { nonce, file, time } = await challenge();
  await make(file, time);
  expect(await reader.read(withNonce(nonce))).toMatchObject({ auth: 'owner', uid: self });
  expect(await readdir(directory)).toEqual([]);
  expect(await reader.read(withNonce(nonce))).toMatchObject({ uid: self });
});

test('a hard link to somebody’s file proves nothing, even where its times fit', async () => {
  const { nonce, file, time } = await challenge();
  const his = join(dir.path, 'his');
  await make(his, time);
  await link(his, file);
  await refused(nonce);
});

test('a link to somebody’s file proves nothing', async () => {
  const { nonce, file, time } = await challenge();
  const his = join(dir.path, 'his');
  await make(his, time);
  await symlink(his, file);
  await refused(nonce);
  expect((await lstat(his)).isFile()).toBe(true);
});

test('somebody’s file that was moved here has its own times, and proves nothing', async () => {
  const { nonce, file } = await challenge();
  const his = join(dir.path, 'his');
  await make(his, Math.floor(Date.now() / 1000));
  await rename(his, file);
  await refused(nonce);
});

test.each([
  ['has something in it', 0o600, 'x', 0],
  ['others may write to', 0o622, '', 0],
  ['runs as its owner', 0o4600, '', 0],
  ['is a second off', 0o600, '', 1],
] as const)('a file that %s proves nothing', async (_what, mode, text, off) => {
  const { nonce, file, time } = await challenge();
  await make(file, time + off, mode, text);
  await refused(nonce);
});

test('a directory of the name proves nothing', async () => {
  const { nonce, file, time } = await challenge();
  await mkdir(file, { mode: 0o600 });
  await utimes(file, time, time);
  await refused(nonce);
});

test.each([
  ['nobody made', (nonce: string) => nonce.replace(/^./, (first) => (first === 'A' ? 'B' : 'A'))],
  ['was cut', (nonce: string) => nonce.slice(0, -1)],
  ['has a later end', (nonce: string) => nonce.replace(/\.\w+\./, '.zzzzzz.')],
  ['is empty', () => ''],
  ['is two dots', () => '..'],
])('a nonce that %s is answered with another challenge', async (_what, forge) => {
  const { nonce } = await challenge();
  await challenge(forge(nonce));
});

test('a challenge is over after a minute, and a proof after an hour', async () => {
  const late = await challenge();
  await make(late.file, late.time);
  now += 60_001;
  await refused(late.nonce);
  const { nonce, file, time } = await challenge();
  await make(file, time);
  expect(await reader.read(withNonce(nonce))).toMatchObject({ uid: self });
  now += 3600_001;
  await refused(nonce);
});

test('a challenge of another daemon, or of this one before its restart, is none', async () => {
  const { nonce, file, time } = await challenge();
  await make(file, time);
  reader = await ownerReader({
    directory,
    accounts: openAccounts(undefined, () => 0),
    now: () => now,
    missing: undefined,
  });
  expect(await readdir(directory)).toEqual([]);
  await refused(nonce);
});

test('no time that is asked for can be had by writing to a file now', async () => {
  for (let n = 0; n < 500; n += 1) {
    expect((await challenge()).time).toBeLessThan(Date.parse('2000-01-01') / 1000);
  }
});

test('the owner of the file is proven, not whoever shows it', async () => {
  const { nonce, file, time } = await challenge();
  await make(file, time);
  // As root there are others to be.
  const other = self === 0 ? 64_999 : self;
  if (self === 0) await chown(file, other, other);
  await utimes(file, time, time);
  expect(await reader.read(withNonce(nonce))).toMatchObject({ uid: other });
});

test('everybody may make files there and nobody list them; what is not the daemon’s own is refused', async () => {
  expect((await lstat(directory)).mode & 0o7777).toBe(0o1733);
  await symlink(dir.path, join(dir.path, 'elsewhere'));
  const opened = ownerReader({
    directory: join(dir.path, 'elsewhere'),
    accounts: openAccounts(undefined, () => 0),
    now: () => now,
    missing: undefined,
  });
  await expect(opened).rejects.toMatchObject({ code: 'config.invalid' });
});

test('the client makes a file beside the socket and nowhere else', async () => {
  const { error, file, time } = await challenge();
  await expect(ownerProof(error, '/run/other/o.sock')).rejects.toBe(error);
  expect(await ownerProof(error, join(dir.path, 'o.sock'))).toMatch(/^Orchestra-Owner /);
  expect((await lstat(file)).mtimeMs).toBe(time * 1000);
  // It is there already: whoever cannot make it is nobody in particular.
  expect(await ownerProof(error, join(dir.path, 'o.sock'))).toBe('Orchestra-Owner none');
});

test('a client proves by itself who it is, in its first call and in those after it', async () => {
  const log = await openLog({ dir: join(dir.path, 'audit'), version: '0', origin: 'test' });
  const socket = join(dir.path, 'o.sock');
  const deps = await edgeDeps({ log, proof: 'owner', socket });
  const seen: unknown[] = [];
  const routes = new Proxy({} as Routes, {
    get: () => (call: Parameters<Routes['runList']>[0]) => {
      seen.push(call.actor.auth, call.actor.uid);
      return Promise.resolve({ items: [] });
    },
  });
  const server = await serve(deps, routes, { socket, isPassed: false });
  const client = new Client(socket);
  await client.call('runList');
  await client.call('runList');
  expect(seen).toEqual(['owner', self, 'owner', self]);
  client.close();
  await server.close(100);
  await log.close();
});
