import * as fs from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Bench, overlayTest } from './overlay.ts';
import { Scratch } from './support.ts';

const text =
  'mkdir -p d/e; echo 1 > d/e/f; ln -s f d/e/l; rm b.txt; rm -r src/old; mkdir src/old; echo x > src/old/n; chmod 755 d/e/f; chmod 700 src';

async function sealed(scratch: Scratch, what = text) {
  const bench = await Bench.open(scratch);
  const { digest } = await bench.task('t', [], what);
  const dir = fs.realpathSync(scratch.path(`state/layers/${digest.slice(7)}`));
  return { bench, digest, upper: join(dir, 'u'), dir };
}

test('a layer that never was is missing', async () => {
  await using scratch = new Scratch();
  const { layers } = await scratch.workspace();
  expect(await layers.check(`sha256:${'a'.repeat(64)}`)).toEqual({ state: 'missing' });
});

overlayTest.for<[string, string, (upper: string, dir: string) => void]>([
  ['other bytes of the same length', 'd/e/f', (u) => fs.writeFileSync(join(u, 'd/e/f'), '2\n')],
  ['a shorter file', 'd/e/f', (u) => fs.truncateSync(join(u, 'd/e/f'), 1)],
  ['another mode', 'd/e/f', (u) => fs.chmodSync(join(u, 'd/e/f'), 0o644)],
  ['a missing file', '.', (u) => fs.rmSync(join(u, 'd/e/f'))],
  ['a file too many', 'd/e/g', (u) => fs.writeFileSync(join(u, 'd/e/g'), '')],
  ['a directory too many', 'd/g', (u) => fs.mkdirSync(join(u, 'd/g'))],
  [
    'another link',
    'd/e/l',
    (u) => {
      fs.rmSync(join(u, 'd/e/l'));
      fs.symlinkSync('g', join(u, 'd/e/l'));
    },
  ],
  [
    'a link in the place of a file',
    'd/e/f',
    (u) => {
      fs.rmSync(join(u, 'd/e/f'));
      fs.symlinkSync('/etc/passwd', join(u, 'd/e/f'));
    },
  ],
  ['a deletion that is gone', '.', (u) => fs.rmSync(join(u, 'b.txt'))],
  [
    'a file in the place of a deletion',
    'b.txt',
    (u) => {
      fs.rmSync(join(u, 'b.txt'));
      fs.writeFileSync(join(u, 'b.txt'), '');
    },
  ],
  ['no directory at all', '.', (u) => fs.rmSync(u, { recursive: true })],
  ['another manifest', 'layer.json', (_, dir) => fs.writeFileSync(join(dir, 'layer.json'), '{}')],
  ['no manifest', 'layer.json', (_, dir) => fs.rmSync(join(dir, 'layer.json'))],
])('%s is noticed and named', async ([, path, harm]) => {
  await using scratch = new Scratch();
  const { bench, digest, upper, dir } = await sealed(scratch);
  expect(await bench.workspace.layers.check(digest)).toMatchObject({ state: 'sound' });
  harm(upper, dir);
  expect(await bench.workspace.layers.check(digest)).toEqual({ state: 'damaged', path });
});

overlayTest(
  'a layer that is too large for the daemon itself is looked at in a thread',
  async () => {
    await using scratch = new Scratch();
    const { bench, digest, upper } = await sealed(
      scratch,
      'i=0; while [ $i -lt 200 ]; do echo $i > f$i; i=$((i+1)); done; head -c 300000 /dev/zero > big',
    );
    expect(await bench.workspace.layers.check(digest)).toMatchObject({ state: 'sound' });
    fs.writeFileSync(join(upper, 'f7'), '8\n');
    expect(await bench.workspace.layers.check(digest)).toEqual({ state: 'damaged', path: 'f7' });
  },
);

overlayTest(
  'the seal gives the stamp of the check, and the next daemon reads all again',
  async () => {
    await using scratch = new Scratch();
    const { bench, digest, upper } = await sealed(scratch);
    // A write that nothing but the bytes could tell.
    const file = join(upper, 'd/e/f');
    const { atime, mtime } = fs.statSync(file);
    fs.writeFileSync(file, '2\n');
    fs.utimesSync(file, atime, mtime);
    expect(await bench.workspace.layers.check(digest)).toMatchObject({ state: 'sound' });
    await scratch.close();
    const { layers } = await scratch.workspace();
    expect(await layers.check(digest)).toEqual({ state: 'damaged', path: 'd/e/f' });
  },
);

overlayTest('an equal layer takes the place of a damaged one', async () => {
  await using scratch = new Scratch();
  const { bench, digest, upper } = await sealed(scratch);
  fs.writeFileSync(join(upper, 'd/e/f'), '2\n');
  expect((await bench.task('again', [], text)).digest).toBe(digest);
  expect(await bench.workspace.layers.check(digest)).toMatchObject({ state: 'sound' });
  expect(await bench.look(['again'], 'cat d/e/f')).toBe('1\n');
});

overlayTest('one whose manifest is damaged is replaced as well', async () => {
  await using scratch = new Scratch();
  const { bench, digest, dir } = await sealed(scratch);
  fs.writeFileSync(join(dir, 'layer.json'), 'no');
  await bench.task('again', [], text);
  expect(await bench.workspace.layers.check(digest)).toMatchObject({ state: 'sound' });
});

overlayTest(
  'a layer put aside is missing, what has it mounted keeps it, the next start removes it',
  async () => {
    await using scratch = new Scratch();
    const { bench, digest, dir } = await sealed(scratch);
    bench.workspace.layers.putAside(digest);
    bench.workspace.layers.putAside(digest);
    expect(await bench.workspace.layers.check(digest)).toEqual({ state: 'missing' });
    expect(fs.existsSync(join(dir, 'u/d/e/f'))).toBe(true);
    await scratch.close();
    await scratch.workspace();
    expect(fs.existsSync(dir)).toBe(false);
  },
);
