import * as fs from 'node:fs';
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:net';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import type { SnapshotTransport } from '#cli/workspace/upload.ts';
import { takeSnapshot } from '#cli/workspace/upload.ts';
import { textOfBytes } from '#contract/path-bytes.ts';
import { defaultTreeLimits, type UploadHeader } from '#contract/snapshot.ts';
import { openWorkspace } from '#daemon/workspace/open.ts';
import { direct, isRoot, sandbox, Scratch } from './support.ts';

const old = new Date('2024-01-01T00:00:00Z');

function project(root: string): string {
  const dir = join(root, 'project');
  fs.mkdirSync(join(dir, 'src/deep'), { recursive: true });
  fs.mkdirSync(join(dir, 'empty'));
  fs.writeFileSync(join(dir, 'package.json'), '{}');
  fs.writeFileSync(join(dir, 'src/a.ts'), 'export {};\n');
  fs.writeFileSync(join(dir, 'src/deep/same.ts'), 'export {};\n');
  fs.writeFileSync(join(dir, 'run.sh'), '#!/bin/sh\n', { mode: 0o755 });
  fs.writeFileSync(join(dir, 'nothing'), '');
  fs.symlinkSync('src/a.ts', join(dir, 'link'));
  return dir;
}

/** The change time of a file cannot be set, so it is the client's clock that is put forward. */
function inThreeSeconds(): Disposable {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 3_000 });
  return { [Symbol.dispose]: () => void vi.useRealTimers() };
}

test('a snapshot holds files, empty directories, links and the executable bit', async () => {
  await using scratch = new Scratch();
  const dir = project(scratch.root);
  const { digest, files, leftOut } = await scratch.snapshot(dir);
  const tree = join(scratch.path('state/snapshots'), digest.slice(7), 'tree');

  expect(leftOut).toEqual([]);
  expect(files).toBe(5);
  expect(execFileSync('diff', ['-r', '--no-dereference', dir, tree]).toString()).toBe('');
  expect(fs.statSync(join(tree, 'run.sh')).mode & 0o777).toBe(0o755);
  expect(fs.statSync(join(tree, 'src/a.ts')).mode & 0o777).toBe(0o644);
  expect(fs.lstatSync(join(tree, 'src/a.ts')).uid).toBe(sandbox);
  expect(fs.lstatSync(join(tree, 'link')).uid).toBe(sandbox);
  expect(fs.statSync(join(tree, 'src')).uid).toBe(sandbox);
});

test('an unchanged workspace sends nothing, and the digest computed by the client is the daemon’s', async () => {
  await using scratch = new Scratch();
  const dir = project(scratch.root);
  using _later = inThreeSeconds();
  const first = await scratch.snapshot(dir);
  const second = await scratch.snapshot(dir);

  expect(first.uploaded).toBe(true);
  expect(second).toEqual({ ...first, uploaded: false });
});

test('a file that is younger than two seconds is never believed by its stamp', async () => {
  await using scratch = new Scratch();
  const dir = project(scratch.root);
  await scratch.snapshot(dir);

  expect((await scratch.snapshot(dir)).uploaded).toBe(true);
});

test('only what the daemon lacks is sent the second time', async () => {
  await using scratch = new Scratch();
  const dir = project(scratch.root);
  fs.writeFileSync(join(dir, 'big'), randomBytes(3_000_000));
  {
    using _later = inThreeSeconds();
    await scratch.snapshot(dir);
  }
  fs.writeFileSync(join(dir, 'src/a.ts'), 'export const a = 1;\n');
  let sent = 0;
  const transport = direct(await scratch.workspace());
  const counting: SnapshotTransport = {
    ...transport,
    upload: (body) =>
      transport.upload(
        (async function* () {
          for await (const chunk of body) {
            sent += chunk.length;
            yield chunk;
          }
        })(),
      ),
  };
  const options = { workspace: dir, memoFile: scratch.path('memo'), transport: counting };
  const { digest } = await takeSnapshot(options);

  expect(sent).toBeLessThan(5_000);
  const tree = join(scratch.path('state/snapshots'), digest.slice(7), 'tree');
  expect(execFileSync('diff', ['-r', '--no-dereference', dir, tree]).toString()).toBe('');
});

test('the digest does not depend on times, and does on content, mode, name and link target', async () => {
  await using scratch = new Scratch();
  const dir = project(scratch.root);
  const digest = async () => (await scratch.snapshot(dir)).digest;
  const first = await digest();
  fs.utimesSync(join(dir, 'src/a.ts'), old, old);
  fs.chmodSync(join(dir, 'src/a.ts'), 0o600);
  const touched = await digest();
  fs.chmodSync(join(dir, 'src/a.ts'), 0o700);
  const executable = await digest();
  fs.renameSync(join(dir, 'nothing'), join(dir, 'Nothing'));
  const renamed = await digest();
  fs.unlinkSync(join(dir, 'link'));
  fs.symlinkSync('./src/a.ts', join(dir, 'link'));
  const relinked = await digest();

  expect(touched).toBe(first);
  expect(new Set([first, executable, renamed, relinked]).size).toBe(4);
});

test('names that are not UTF-8, with newlines or with the look of the escape arrive byte for byte', async () => {
  await using scratch = new Scratch();
  const dir = join(scratch.root, 'odd');
  fs.mkdirSync(join(dir, 'b64'), { recursive: true });
  const names = [
    'line\nbreak',
    'caf\u00e9',
    '\ud83d\ude00',
    '__proto__',
    'constructor',
    ' ',
    '-rf',
    'a:b,c\\d',
  ];
  for (const name of names) fs.writeFileSync(join(dir, name), name);
  const raw = Buffer.from([0x66, 0xff, 0xfe]);
  fs.mkdirSync(Buffer.concat([Buffer.from(`${dir}/`), raw]));
  fs.writeFileSync(Buffer.concat([Buffer.from(`${dir}/`), raw, Buffer.from('/x')]), 'inner');
  fs.symlinkSync(Buffer.concat([raw, Buffer.from('/x')]), join(dir, 'to-raw'));
  const { digest, leftOut } = await scratch.snapshot(dir);
  const tree = join(scratch.path('state/snapshots'), digest.slice(7), 'tree');

  expect(leftOut).toEqual([]);
  expect(execFileSync('diff', ['-r', '--no-dereference', dir, tree]).toString()).toBe('');
  const entries = await (await scratch.workspace()).snapshots.entries(digest);
  expect(entries.map((entry) => entry.path)).toContain(textOfBytes(`${raw.toString('latin1')}/x`));
});

test('sockets, pipes and links that lead out are left out and listed', async () => {
  await using scratch = new Scratch();
  const dir = project(scratch.root);
  execFileSync('mkfifo', [join(dir, 'pipe')]);
  fs.symlinkSync('/etc/passwd', join(dir, 'abs'));
  fs.symlinkSync('../../secret', join(dir, 'src/out'));
  const server = createServer().listen(join(dir, 'sock'));
  await new Promise((resolve) => server.once('listening', resolve));
  const { leftOut, files } = await scratch.snapshot(dir);
  await new Promise((resolve) => server.close(resolve));

  expect(files).toBe(5);
  expect(leftOut.toSorted((a, b) => a.path.localeCompare(b.path))).toEqual([
    { path: 'abs', reason: 'link leads out' },
    { path: 'pipe', reason: 'fifo' },
    { path: 'sock', reason: 'socket' },
    { path: 'src/out', reason: 'link leads out' },
  ]);
});

test('ignore files are honoured where they are, the nearest wins, and .git stays at home', async () => {
  await using scratch = new Scratch();
  const dir = project(scratch.root);
  const put = (path: string, text = ''): void => {
    fs.mkdirSync(join(dir, path, '..'), { recursive: true });
    fs.writeFileSync(join(dir, path), text);
  };
  put('.gitignore', 'node_modules\n*.log\n/dist\n');
  put('.orchestraignore', '!/dist\ncoverage/\n');
  put('src/.gitignore', '!keep.log\nlocal\n');
  for (const path of ['.git/HEAD', 'node_modules/a/i.js', 'x.log', 'dist/o.js', 'coverage/c'])
    put(path);
  for (const path of ['src/keep.log', 'src/drop.log', 'src/local', 'local', 'sub/.git/HEAD'])
    put(path);
  const { digest } = await scratch.snapshot(dir);
  const paths = (await (await scratch.workspace()).snapshots.entries(digest)).map((e) => e.path);

  for (const path of ['dist/o.js', 'src/keep.log', 'local', '.gitignore']) {
    expect(paths).toContain(path);
  }
  const gone = /(^|\/)(\.git|node_modules|coverage|x\.log|drop\.log)(\/|$)|^src\/local$/;
  expect(paths.filter((path) => gone.test(path))).toEqual([]);
});

test('a workspace above the limits is refused before anything is sent', async () => {
  await using scratch = new Scratch();
  const dir = project(scratch.root);
  const transport = direct(await scratch.workspace());
  const take = (limits: object) =>
    takeSnapshot({
      workspace: dir,
      memoFile: scratch.path('memo'),
      transport,
      limits: { ...defaultTreeLimits, ...limits },
    });

  for (const limits of [
    { entriesMax: 8 },
    { bytesMax: 20 },
    { pathBytesMax: 10 },
    { depthMax: 2 },
  ]) {
    await expect(take(limits)).rejects.toMatchObject({ code: 'workspace.too_large' });
  }
  await take({ entriesMax: 9 });
});

test('the daemon keeps its own limits, whatever the client thinks', async () => {
  await using scratch = new Scratch();
  await scratch.workspace({ ...defaultTreeLimits, entriesMax: 3 });

  await expect(scratch.snapshot(project(scratch.root))).rejects.toMatchObject({
    code: 'workspace.too_large',
  });
  expect(fs.readdirSync(scratch.path('state/tmp'))).toEqual([]);
  expect(fs.readdirSync(scratch.path('state/snapshots'))).toEqual([]);
});

const dirFrame: UploadHeader = { type: 'dir', path: 'd' };
const file = (path: string, content: string): (UploadHeader | string)[] => [
  { type: 'file', path, executable: false, bytes: content.length, content: true },
  content,
];
const end = (entries: number): UploadHeader => ({ type: 'end', entries });
const linkOut = { type: 'symlink', path: 'l', target: '..' };
const linkIn = { type: 'symlink', path: 'd2', target: 'd' };

test.each<[string, unknown[]]>([
  ['cut off before the end', [dirFrame]],
  ['cut off in a file', [{ ...(file('a', '')[0] as object), bytes: 5 }, 'ab']],
  ['a wrong count', [dirFrame, end(7)]],
  ['bytes after the end', [end(0), dirFrame]],
  ['a path twice', [dirFrame, dirFrame, end(2)]],
  ['a parent that is missing', [...file('x/y', 'z'), end(1)]],
  ['a parent that is a file', [...file('x', 'z'), ...file('x/y', 'z'), end(2)]],
  ['a parent that is a link', [dirFrame, linkIn, ...file('d2/x', 'z'), end(3)]],
  ['a parent that is a link leading out', [linkOut, ...file('l/x', 'z'), end(2)]],
  ['a climbing path', [...file('../x', 'z'), end(1)]],
  ['an absolute path', [...file('/etc/x', 'z'), end(1)]],
  ['a dot', [...file('.', 'z'), end(1)]],
  ['an alias of an ASCII name', [...file('/b64/YQ==', 'z'), end(1)]],
  ['a climbing path in disguise', [...file(`/b64/${btoa('../\xff')}`, 'z'), end(1)]],
  ['NUL', [...file('a\0b', 'z'), end(1)]],
  ['an unknown key', [{ ...dirFrame, mode: 4755 }, end(1)]],
  ['a negative size', [{ ...(file('a', '')[0] as object), bytes: -1 }, end(1)]],
  ['no JSON', ['hello\n']],
  ['an endless header', ['x'.repeat(20_000)]],
  [
    'content that is not what its digest says',
    [{ ...(file('a', 'z')[0] as object), digest: `sha256:${'0'.repeat(64)}` }, 'z', end(1)],
  ],
])('an upload with %s is refused and leaves nothing', async (_name, frames) => {
  await using scratch = new Scratch();
  const { snapshots } = await scratch.workspace();
  const bytes = frames.map((f) => (typeof f === 'string' ? f : `${JSON.stringify(f)}\n`)).join('');
  async function* body(): AsyncGenerator<Uint8Array> {
    // One byte at a time: no frame may depend on how the stream was cut.
    for (const byte of Buffer.from(bytes)) yield Buffer.of(byte);
  }

  await expect(snapshots.ingest(body())).rejects.toMatchObject({ code: 'workspace.invalid' });
  expect(fs.readdirSync(scratch.path('state/tmp'))).toEqual([]);
  expect(fs.readdirSync(scratch.path('state/snapshots'))).toEqual([]);
  expect(fs.existsSync(scratch.path('state/x'))).toBe(false);
});

test('after a refused upload everybody still gets the answer to their own question', async () => {
  await using scratch = new Scratch();
  const { snapshots } = await scratch.workspace();
  const upload = async (...frames: unknown[]) => {
    const bytes = Buffer.from(frames.map((frame) => `${JSON.stringify(frame)}\n`).join(''));
    async function* body(): AsyncGenerator<Uint8Array> {
      yield bytes;
    }
    return snapshots.ingest(body());
  };

  for (let i = 0; i < 3; i += 1) {
    await expect(upload({ ...dirFrame, path: '/x' })).rejects.toMatchObject({
      code: 'workspace.invalid',
    });
    expect(await snapshots.missing([])).toEqual([]);
    expect(await upload(dirFrame, end(1))).toMatchObject({ files: 0, digests: [] });
  }
});

test('uploads that stall keep nobody else from their files and are given up', async () => {
  await using scratch = new Scratch();
  await using workspace = await openedWith(scratch, { silenceMs: 400 });
  async function* stalled(): AsyncGenerator<Uint8Array> {
    yield Buffer.from(`${JSON.stringify(dirFrame)}\n`);
    await new Promise(() => {});
  }
  const uploads = Promise.allSettled([1, 2, 3].map(() => workspace.snapshots.ingest(stalled())));
  const first = await Promise.race([uploads, workspace.snapshots.missing([])]);

  expect(first).toEqual([]);
  for (const upload of await uploads) {
    expect(upload).toMatchObject({ status: 'rejected', reason: { code: 'request.timeout' } });
  }
  expect(fs.readdirSync(scratch.path('state/tmp'))).toEqual([]);
});

async function openedWith(scratch: Scratch, options: { silenceMs: number }) {
  const ids = { sandboxUid: sandbox, sandboxGid: sandbox };
  const workspace = await openWorkspace({ stateDir: scratch.path('state'), ...ids, ...options });
  return Object.assign(workspace, { [Symbol.asyncDispose]: () => workspace.close() });
}

test('content named but not there is blob.unknown', async () => {
  await using scratch = new Scratch();
  const { snapshots } = await scratch.workspace();
  const header = { type: 'file', path: 'a', executable: false, bytes: 1, content: false };
  const line = `${JSON.stringify({ ...header, digest: `sha256:${'0'.repeat(64)}` })}\n`;
  async function* body(): AsyncGenerator<Uint8Array> {
    yield Buffer.from(line);
  }

  await expect(snapshots.ingest(body())).rejects.toMatchObject({ code: 'blob.unknown' });
});

test('an aborted upload leaves nothing, and the next one works', async () => {
  await using scratch = new Scratch();
  const { snapshots } = await scratch.workspace();
  const abort = new AbortController();
  async function* body(): AsyncGenerator<Uint8Array> {
    yield Buffer.from(`${JSON.stringify(dirFrame)}\n`);
    abort.abort(new Error('enough'));
    yield Buffer.from(`${JSON.stringify(end(1))}\n`);
  }

  await expect(snapshots.ingest(body(), abort.signal)).rejects.toThrow('enough');
  expect(fs.readdirSync(scratch.path('state/tmp'))).toEqual([]);
  expect((await scratch.snapshot(project(scratch.root))).files).toBe(5);
});

test('half-built trees of a crash are swept at start', async () => {
  await using scratch = new Scratch();
  await scratch.workspace();
  await scratch.close();
  fs.mkdirSync(scratch.path('state/tmp/sdead/tree/x'), { recursive: true });
  fs.mkdirSync(scratch.path('state/l/dead/u'), { recursive: true });
  await scratch.workspace();

  await expect.poll(() => fs.readdirSync(scratch.path('state/tmp'))).toEqual([]);
  expect(fs.readdirSync(scratch.path('state/l'))).toEqual([]);
});

test('two uploads of the same workspace at the same time give one snapshot', async () => {
  await using scratch = new Scratch();
  const dir = project(scratch.root);
  await scratch.workspace();
  const both = await Promise.all([scratch.snapshot(dir), scratch.snapshot(dir)]);

  expect(both[0].digest).toBe(both[1].digest);
  expect(fs.readdirSync(scratch.path('state/tmp'))).toEqual([]);
});

test('a file that goes on changing is an error that names it', async () => {
  await using scratch = new Scratch();
  const dir = project(scratch.root);
  fs.writeFileSync(join(dir, 'busy'), Buffer.alloc(2_000_000));
  const transport = direct(await scratch.workspace());
  const meddling: SnapshotTransport = {
    ...transport,
    upload: (body) =>
      transport.upload(
        (async function* () {
          for await (const chunk of body) {
            fs.appendFileSync(join(dir, 'busy'), 'more');
            yield chunk;
          }
        })(),
      ),
  };
  const options = { workspace: dir, memoFile: scratch.path('memo'), transport: meddling };

  await expect(takeSnapshot(options)).rejects.toMatchObject({
    code: 'workspace.changed',
    message: expect.stringContaining('busy') as string,
  });
});

test.skipIf(isRoot)(
  'an unreadable file is an error that names it (root reads everything)',
  async () => {
    await using scratch = new Scratch();
    const dir = project(scratch.root);
    fs.writeFileSync(join(dir, 'closed'), 'x', { mode: 0 });

    await expect(scratch.snapshot(dir)).rejects.toMatchObject({ code: 'workspace.invalid' });
  },
);
