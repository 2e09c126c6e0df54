import * as fs from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { headerOf, padding, type TarEntry } from '#daemon/workspace/copies/tar-header.ts';
import type { Workspace } from '#daemon/workspace/open.ts';
import { roomy } from '#test/conformance/layers.suite.ts';
import { Scratch } from '../support.ts';

let scratch: Scratch;
let workspace: Workspace;
let snapshot: string;

beforeAll(async () => {
  scratch = new Scratch();
  const dir = scratch.path('project');
  fs.mkdirSync(join(dir, 'src'), { recursive: true });
  fs.writeFileSync(join(dir, 'a.txt'), 'a\n');
  fs.writeFileSync(join(dir, 'src/s'), 's\n');
  snapshot = (await scratch.snapshot(dir)).digest;
  const limits = { entriesMax: 100, bytesMax: 100_000, pathBytesMax: 200, depthMax: 20 };
  await scratch.close();
  workspace = await scratch.workspace(limits);
});
afterAll(async () => scratch[Symbol.asyncDispose]());

type Said = Partial<TarEntry> & { name: string; text?: string };
const dir = (name: string): Said => ({ kind: 'dir', name });
const file = (name: string, text = 'x'): Said => ({ kind: 'file', name, text });
const link = (name: string, target: string): Said => ({ kind: 'symlink', name, target });
const hard = (name: string, target: string): Said => ({ kind: 'hard link', name, target });

async function* tar(entries: readonly Said[], isCut = false): AsyncGenerator<Uint8Array> {
  for (const { text = '', ...said } of entries) {
    const entry = { kind: 'file', target: '', mode: 0o644, mtime: 0, size: text.length, ...said };
    yield await Promise.resolve(headerOf(entry as TarEntry, { uid: 0, gid: 0 }));
    yield Buffer.concat([Buffer.from(text), Buffer.alloc(padding(text.length))]);
  }
  if (!isCut) yield Buffer.alloc(1024);
}

async function unpack(entries: readonly Said[], { isCut = false, allowance = roomy } = {}) {
  const prepared = await workspace.layers.prepare({ snapshot, ancestors: [] });
  const answer = await workspace.layers.readBack(prepared, tar(entries, isCut), { allowance });
  return { prepared, answer };
}

const all = [dir('w/'), dir('w/src'), file('w/src/s', 's\n')];

test.each<[string, readonly Said[], string]>([
  ['nothing at all', [], 'workspace.invalid'],
  ['a file in place of the workspace', [file('w')], 'workspace.invalid'],
  ['a path that leads out', [dir('w/'), file('w/../../out')], 'workspace.invalid'],
  ['an absolute path', [dir('w/'), file('/etc/out')], 'workspace.invalid'],
  ['another directory beside it', [dir('w/'), file('v/x')], 'workspace.invalid'],
  ['a path through a link', [dir('w/'), link('w/l', '/tmp'), file('w/l/x')], 'workspace.invalid'],
  ['a path through a file', [dir('w/'), file('w/f'), file('w/f/x')], 'workspace.invalid'],
  ['a path whose directory never came', [dir('w/'), file('w/no/x')], 'workspace.invalid'],
  ['a path that comes twice', [dir('w/'), file('w/f'), link('w/f', 'a')], 'workspace.invalid'],
  ['a link to itself', [dir('w/'), hard('w/h', 'w/h')], 'workspace.invalid'],
  ['a hard link that leads out', [dir('w/'), hard('w/h', 'w/../../x')], 'workspace.invalid'],
  ['a hard link to a link', [dir('w/'), link('w/l', 'x'), hard('w/h', 'w/l')], 'workspace.invalid'],
  ['a link to nothing', [dir('w/'), link('w/l', '')], 'workspace.invalid'],
  ['an empty name', [dir('w/'), file('w//x')], 'workspace.invalid'],
  ['a path that is too long', [dir('w/'), file(`w/${'n'.repeat(201)}`)], 'workspace.too_large'],
  [
    'more than a layer may hold',
    [dir('w/'), ...Array.from({ length: 104 }, (_, n) => file(`w/${n}`))],
    'workspace.too_large',
  ],
  [
    'more bytes than a layer may hold, though most are holes',
    [dir('w/'), file('w/h', '\0'.repeat(90_000)), file('w/i', '\0'.repeat(90_000))],
    'workspace.too_large',
  ],
  [
    'the same bytes under many names',
    [dir('w/'), file('w/h', 'x'.repeat(60_000)), hard('w/i', 'w/h')],
    'workspace.too_large',
  ],
])('refuses %s, and touches nothing outside', async (_, entries, code) => {
  const before = fs.readdirSync(scratch.root).toSorted();
  await expect(unpack(entries)).rejects.toMatchObject({ code });
  expect(fs.readdirSync(scratch.root).toSorted()).toEqual(before);
  expect(fs.existsSync('/tmp/x')).toBe(false);
});

test('a stream that is cut off is the engine’s failure, and can be read again', async () => {
  const prepared = await workspace.layers.prepare({ snapshot, ancestors: [] });
  const read = async (isCut: boolean) =>
    workspace.layers.readBack(prepared, tar([...all, file('w/a.txt', 'b\n')], isCut), {
      allowance: roomy,
    });
  await expect(read(true)).rejects.toMatchObject({ code: 'workspace.invalid' });
  const broken = (async function* () {
    yield* tar(all, true);
    throw new Error('the connection is gone');
  })();
  await expect(
    workspace.layers.readBack(prepared, broken, { allowance: roomy }),
  ).rejects.toMatchObject({ code: 'engine.unavailable' });
  await read(false);
  const { entries } = await workspace.layers.seal(prepared);
  expect(entries).toBe(1);
});

test('reading back can be given up, and leaves no thread behind', async () => {
  const prepared = await workspace.layers.prepare({ snapshot, ancestors: [] });
  const never = (async function* () {
    yield* tar(all, true);
    await new Promise(() => {});
  })();
  const gone = new AbortController();
  const reading = workspace.layers.readBack(prepared, never, {
    allowance: roomy,
    signal: gone.signal,
  });
  setTimeout(() => gone.abort(new Error('cancelled')), 50);
  await expect(reading).rejects.toThrow('cancelled');
  const { answer } = await unpack([...all, file('w/a.txt', 'a\n')]);
  expect(answer.use).toEqual({ bytes: 0, files: 0 });
});

test('more than a task may leave ends the reading, and says how much it was', async () => {
  const big = [...all, file('w/one', 'x'.repeat(5000)), file('w/two', 'x'.repeat(5000))];
  const bytes = await unpack(big, { allowance: { bytes: 4096, files: 100 } });
  expect(bytes.answer).toMatchObject({ isOver: true });
  expect(bytes.answer.use.bytes).toBeGreaterThan(4096);
  const files = await unpack(big, { allowance: { bytes: 10_000, files: 1 } });
  expect(files.answer).toMatchObject({ isOver: true, use: { files: 2 } });
});

test('who left too much is not listened to any longer', async () => {
  const prepared = await workspace.layers.prepare({ snapshot, ancestors: [] });
  let sent = 0;
  const endless = Readable.from(
    (async function* () {
      yield* tar([...all, file('w/one', 'x'.repeat(50_000))], true);
      for (;;) {
        sent += 1;
        yield* tar([file(`w/${sent}`, 'x'.repeat(600))], true);
      }
    })(),
  );
  const allowance = { bytes: 4096, files: 100 };
  const answer = await workspace.layers.readBack(prepared, endless, { allowance });
  expect(answer.isOver).toBe(true);
  expect(endless.destroyed).toBe(true);
});

test('a device that would be the mark of a deletion is a device', async () => {
  const said = [...all, { kind: 'device', name: 'w/a.txt' } as const];
  const { prepared } = await unpack(said);
  const sealed = await workspace.layers.seal(prepared);
  expect(sealed).toMatchObject({ entries: 0, leftOut: [{ path: 'a.txt', reason: 'device' }] });
});

test('what an engine says of owners, times and modes makes no difference', async () => {
  const seal = async (change: Partial<TarEntry>) => {
    const { prepared } = await unpack([...all, { ...file('w/a.txt', 'b\n'), ...change }]);
    return (await workspace.layers.seal(prepared)).digest;
  };
  const plain = await seal({});
  expect(await seal({ mode: 0o666, mtime: 2 ** 33 })).toBe(plain);
  expect(await seal({ mode: 0o755 })).not.toBe(plain);
});
