import * as fs from 'node:fs';
import { expect, test } from 'vitest';
import { Trash } from '#daemon/workspace/trash.ts';
import { WorkerPool } from '#daemon/workspace/worker-pool.ts';
import { Scratch } from './support.ts';

const worker = new URL('../../../daemon/workspace/worker.ts', import.meta.url);

function fill(dir: string): string {
  fs.mkdirSync(`${dir}/a/b`, { recursive: true });
  fs.writeFileSync(`${dir}/a/b/file`, 'x');
  return dir;
}

test('what is thrown away has left its place at once and is gone a little later', async () => {
  await using scratch = new Scratch();
  fs.mkdirSync(scratch.path('tmp'));
  const pool = new WorkerPool(worker);
  const trash = new Trash(scratch.root, pool);
  const dir = fill(scratch.path('old'));

  await trash.put(dir);
  expect(fs.existsSync(dir)).toBe(false);
  await trash.put(dir);
  await trash.emptied();

  expect(fs.readdirSync(scratch.path('tmp'))).toEqual([]);
  await trash.close();
  await pool.close();
});

test('closing does not wait for a long removal, and what is left is in tmp for the next start', async () => {
  await using scratch = new Scratch();
  fs.mkdirSync(scratch.path('tmp'));
  const pool = new WorkerPool(worker);
  const trash = new Trash(scratch.root, pool);
  await trash.close();

  await trash.put(fill(scratch.path('old')));
  await trash.emptied();

  expect(fs.existsSync(scratch.path('old'))).toBe(false);
  expect(fs.readdirSync(scratch.path('tmp'))).toHaveLength(1);
  await pool.close();
});

test('more than the queue takes makes the one who throws away wait, and all of it goes', async () => {
  await using scratch = new Scratch();
  fs.mkdirSync(scratch.path('tmp'));
  const pool = new WorkerPool(worker);
  const trash = new Trash(scratch.root, pool);

  for (let i = 0; i < 70; i += 1) {
    await trash.put(fill(scratch.path(`old-${i}`)));
    expect(fs.readdirSync(scratch.path('tmp')).length).toBeLessThanOrEqual(65);
  }
  await trash.emptied();

  expect(fs.readdirSync(scratch.path('tmp'))).toEqual([]);
  await trash.close();
  await pool.close();
});

test('nothing is removed while it is held, and soon after it was let go', async () => {
  await using scratch = new Scratch();
  fs.mkdirSync(scratch.path('tmp'));
  const pool = new WorkerPool(worker);
  const trash = new Trash(scratch.root, pool, 20);
  const left = () => fs.readdirSync(scratch.path('tmp')).length;

  const [one, two] = [trash.hold(), trash.hold()];
  await trash.put(fill(scratch.path('old')));
  one[Symbol.dispose]();
  one[Symbol.dispose]();
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(left()).toBe(1);
  two[Symbol.dispose]();
  await expect.poll(left).toBe(0);

  await trash.close();
  await pool.close();
});

test('what a crash left is taken on at start, and emptying does not ask who holds', async () => {
  await using scratch = new Scratch();
  fs.mkdirSync(scratch.path('tmp'));
  fs.mkdirSync(scratch.path('tmp/left-by-a-crash'));
  const pool = new WorkerPool(worker);
  const trash = new Trash(scratch.root, pool);

  using _hold = trash.hold();
  expect(await trash.sweep()).toBe(1);
  await trash.put(fill(scratch.path('old')));
  await trash.emptied();

  expect(fs.readdirSync(scratch.path('tmp'))).toEqual([]);
  await trash.close();
  await pool.close();
});
