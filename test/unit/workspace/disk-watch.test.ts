import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import type { OrchestraError } from '#contract/errors.ts';
import { DiskWatch } from '#daemon/workspace/disk-watch.ts';
import { FreeSpace, type Space } from '#daemon/workspace/free-space.ts';
import { WorkerPool } from '#daemon/workspace/worker-pool.ts';
import { tempDir } from '#test/support/temp-dir.ts';

const GiB = 1024 ** 3;
const MiB = 1024 ** 2;
const roomy: Space = {
  free: 50 * GiB,
  total: 100 * GiB,
  filesFree: 1_000_000,
  filesTotal: 2_000_000,
};

/** A disk whose free space a test says. */
async function open() {
  const dir = await tempDir();
  const pool = new WorkerPool(new URL('../../../daemon/workspace/worker.ts', import.meta.url));
  const disk = { space: roomy, looks: 0 };
  const read = () => {
    disk.looks += 1;
    return Promise.resolve(disk.space);
  };
  const watch = new DiskWatch(new FreeSpace(dir.path, undefined, read), pool);
  const onOver = vi.fn<(limit: string, use: { bytes: number; files: number }) => void>();
  const onLow = vi.fn<(error: OrchestraError) => void>();
  return {
    dir: dir.path,
    disk,
    onOver,
    onLow,
    watch: (allowance: { bytes: number; files: number }) =>
      watch.watch({ dirs: [dir.path], allowance, processes: () => [], onOver, onFailure: onLow }),
    [Symbol.asyncDispose]: async () => {
      await pool.close();
      await dir[Symbol.asyncDispose]();
    },
  };
}

test('what a task wrote is counted once the disk lost as much as it had left', async () => {
  await using it = await open();
  using _watched = it.watch({ bytes: MiB, files: 100 });
  await expect.poll(() => it.disk.looks).toBeGreaterThan(1);
  writeFileSync(join(it.dir, 'big'), Buffer.alloc(2 * MiB, 1));
  expect(it.onOver).not.toHaveBeenCalled();
  it.disk.space = { ...roomy, free: roomy.free - 2 * MiB };
  await expect.poll(() => it.onOver).toHaveBeenCalledTimes(1);
  expect(it.onOver.mock.calls[0]?.[0]).toBe('disk');
  expect(it.onOver.mock.calls[0]?.[1].bytes).toBeGreaterThanOrEqual(2 * MiB);
});

test('files count apart from bytes', async () => {
  await using it = await open();
  using _watched = it.watch({ bytes: GiB, files: 10 });
  await expect.poll(() => it.disk.looks).toBeGreaterThan(1);
  for (let i = 0; i < 11; i += 1) writeFileSync(join(it.dir, `f${i}`), '');
  it.disk.space = { ...roomy, filesFree: roomy.filesFree - 11 };
  await expect.poll(() => it.onOver).toHaveBeenCalledTimes(1);
  expect(it.onOver.mock.calls[0]).toMatchObject(['disk_files', { files: 11 }]);
});

test('what others take from the disk is not held against a task', async () => {
  await using it = await open();
  using watched = it.watch({ bytes: MiB, files: 100 });
  writeFileSync(join(it.dir, 'small'), 'x');
  it.disk.space = { ...roomy, free: 10 * GiB };
  const { looks } = it.disk;
  await expect.poll(() => it.disk.looks).toBeGreaterThan(looks + 5);
  expect(it.onOver).not.toHaveBeenCalled();
  expect((await watched.final()).files).toBe(1);
});

test('everybody is ended once when the disk is about to be full', async () => {
  await using it = await open();
  using _watched = it.watch({ bytes: GiB, files: 100 });
  it.disk.space = { ...roomy, free: MiB };
  await expect.poll(() => it.onLow).toHaveBeenCalled();
  const { looks } = it.disk;
  await new Promise((resolve) => setTimeout(resolve, 250));
  expect(it.onLow).toHaveBeenCalledTimes(1);
  expect(it.onLow.mock.calls[0]?.[0]).toMatchObject({ code: 'disk.low' });
  expect(it.disk.looks - looks).toBeLessThan(10);
});

test('nobody looks at the disk when nothing runs', async () => {
  await using it = await open();
  it.watch({ bytes: GiB, files: 100 })[Symbol.dispose]();
  const { looks } = it.disk;
  await new Promise((resolve) => setTimeout(resolve, 250));
  expect(it.disk.looks).toBe(looks);
});

test('the last count tells what is there, few files or many', async () => {
  await using it = await open();
  using first = it.watch({ bytes: GiB, files: 1000 });
  for (let i = 0; i < 20; i += 1) writeFileSync(join(it.dir, `f${i}`), 'x');
  expect((await first.final()).files).toBe(20);
  using second = it.watch({ bytes: GiB, files: 1000 });
  for (let i = 0; i < 200; i += 1) writeFileSync(join(it.dir, `g${i}`), 'x');
  expect((await second.final()).files).toBe(220);
});
