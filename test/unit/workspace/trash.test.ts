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
