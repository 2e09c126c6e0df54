import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { buffer } from 'node:stream/consumers';
import { PassThrough } from 'node:stream';
import { gzipSync } from 'node:zlib';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { makeArchive } from '#setup/image/archive.ts';
import { describeImage } from '#setup/image/description.ts';
import { ensureImage } from '#setup/image/images.ts';
import { Tree } from '#setup/image/tree.ts';
import { untar } from '#setup/image/untar.ts';
import { fakeEngine } from './fake-engine.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(path.join(tmpdir(), 'image-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

async function bytesOf(tree: Tree): Promise<Buffer> {
  const through = new PassThrough();
  const [bytes] = await Promise.all([buffer(through), tree.write(through)]);
  return bytes;
}

describe('the tree of an image', () => {
  test.each(['/etc/passwd', '../x', 'a/../../b', 'a//b', './a', ''])(
    'refuses the path %j',
    (name) => {
      expect(() => new Tree().file(name, '')).toThrow('not a clean relative path');
    },
  );

  test('refuses to put a file twice', () => {
    const tree = new Tree();
    tree.file('a', '1');
    expect(() => tree.file('a', '2')).toThrow('put twice');
  });

  test('gives the same bytes whatever the order in which it was filled', async () => {
    const segment = fc.stringMatching(/^[a-z]{1,3}$/);
    const names = fc.uniqueArray(
      fc.tuple(segment, segment).map(([a, b]) => `d${a}/f${b}`),
      {
        maxLength: 12,
      },
    );
    await fc.assert(
      fc.asyncProperty(names, async (list) => {
        const [one, two] = [new Tree(), new Tree()];
        for (const name of list) one.file(name, name);
        for (const name of list.toReversed()) two.file(name, name);
        expect((await bytesOf(one)).equals(await bytesOf(two))).toBe(true);
      }),
      { numRuns: 30 },
    );
  });

  test('comes out of its tar as it went in', async () => {
    const tree = new Tree();
    tree.file('bin/tool', 'text', 0o755);
    tree.symlink('bin/alias', 'tool');
    const wanted = (name: string) => name.startsWith('bin/');
    for (const bytes of [await bytesOf(tree), gzipSync(await bytesOf(tree))]) {
      expect(await untar(bytes, wanted)).toEqual([
        {
          name: 'bin/alias',
          type: 'symlink',
          executable: true,
          target: 'tool',
          content: Buffer.alloc(0),
        },
        {
          name: 'bin/tool',
          type: 'file',
          executable: true,
          target: '',
          content: Buffer.from('text'),
        },
      ]);
    }
  });
});

test('the ID of an archive is the digest of the configuration inside, which names the layer inside', async () => {
  const tree = new Tree();
  tree.file('etc/hello', 'world');
  const options = {
    cpu: 'x64',
    user: 'node',
    tag: 'test:1',
    layerFile: path.join(dir, 'layer'),
  } as const;
  const archive = await makeArchive({ tree, labels: { a: 'b' }, env: ['PATH=/bin'] }, options);
  const files = await untar(await buffer(archive.stream()), () => true);
  const contentOf = (name: string) =>
    files.find((file) => file.name === name)?.content ?? Buffer.alloc(0);
  const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
  const [manifest] = JSON.parse(contentOf('manifest.json').toString()) as [
    { Config: string; RepoTags: string[]; Layers: string[] },
  ];
  const config = contentOf(manifest.Config);
  expect(archive.id).toBe(`sha256:${sha256(config)}`);
  expect(manifest.RepoTags).toEqual(['test:1']);
  expect(JSON.parse(config.toString())).toMatchObject({
    rootfs: { diff_ids: [`sha256:${sha256(contentOf(manifest.Layers[0] ?? ''))}`] },
    config: { User: 'node', Labels: { a: 'b' } },
  });
});

describe('the sandbox image in an engine', () => {
  const hex = 'ab'.repeat(32);
  const options = { cacheDir: '', progress: () => {} };
  const image = describeImage();

  test('is used as it is when it is there, with no other question', async () => {
    await using engine = await fakeEngine((_request, response) => {
      response.end(
        JSON.stringify({ Id: `sha256:${hex}`, RepoDigests: ['node@sha256:1'], Size: 5 }),
      );
    });
    await expect(ensureImage({ ...options, cacheDir: dir, engine })).resolves.toEqual({
      reference: 'node:20-alpine',
      id: `sha256:${hex}`,
      origin: 'pulled',
      tag: 'node:20-alpine',
      libc: 'musl',
      digest: 'node@sha256:1',
      sizeBytes: 5,
      labels: {},
    });
    expect(engine.asked).toEqual(['GET /images/node:20-alpine/json']);
  });

  test('is called assembled when its label says so, whatever it is tagged', async () => {
    const labels = { 'orchestra.image.origin': 'assembled' };
    await using engine = await fakeEngine((_request, response) => {
      response.end(JSON.stringify({ Id: hex, Size: 5, Config: { Labels: labels } }));
    });
    await expect(ensureImage({ ...options, cacheDir: dir, engine })).resolves.toMatchObject({
      id: `sha256:${hex}`,
      origin: 'assembled',
      libc: 'glibc',
    });
  });

  test('is pulled where a registry answers', async () => {
    let pulled = false;
    await using engine = await fakeEngine((request, response) => {
      if (request.url?.startsWith('/images/create') === true) {
        pulled = true;
        response.end('{"status":"Pulling"}\n{"status":"Done"}\n');
      } else if (pulled && request.url === `/images/${image.reference}/json`) {
        response.end(JSON.stringify({ Id: hex, RepoDigests: ['node@sha256:2'], Size: 5 }));
      } else {
        response.statusCode = 404;
        response.end('{"message":"no such image"}');
      }
    });
    await expect(ensureImage({ ...options, cacheDir: dir, engine })).resolves.toMatchObject({
      origin: 'pulled',
      digest: 'node@sha256:2',
    });
    expect(engine.asked).toContain('POST /images/create?fromImage=node&tag=20-alpine');
  });

  test('is not taken from an engine of another processor, and the way out is named', async () => {
    await using engine = await fakeEngine((request, response) => {
      if (request.url === '/info') return response.end('{"Architecture":"riscv64"}');
      // A pull that fails half-way says so in a line of a good answer.
      if (request.url?.startsWith('/images/create') === true) {
        return response.end('{"status":"Pulling"}\n{"error":"no route"}\n');
      }
      response.statusCode = 404;
      return response.end('{"message":"no such image"}');
    });
    await expect(ensureImage({ ...options, cacheDir: dir, engine })).rejects.toMatchObject({
      code: 'image.unknown',
      hint: expect.stringContaining('pull node:20-alpine') as string,
    });
    expect(engine.asked).toContain('GET /info');
  });

  test('is unknown under a name that no description has', async () => {
    const engine = { host: 'unix:///nowhere' };
    await expect(
      ensureImage({ ...options, cacheDir: dir, engine, reference: 'ubuntu' }),
    ).rejects.toMatchObject({ code: 'image.unknown' });
  });
});
