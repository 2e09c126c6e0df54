import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import type { BlobStore } from '#daemon/artifacts/blobs.ts';
import { keepLeftOutput, outputPath } from '#daemon/runs/left-output.ts';
import { outputLines } from '#daemon/runs/output-lines.ts';
import { ofType, Orchestra } from '#test/support/orchestra.ts';

const dirs: string[] = [];
afterEach(() => {
  for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true, force: true });
});

test('what a task wrote before its daemon was killed is kept, and nothing else of it', async () => {
  const stateDir = mkdtempSync(join(tmpdir(), 'orchestra-crashed-'));
  dirs.push(stateDir);
  const script = { hang: true, output: [[1, 'so far\n']] as const };
  await using first = await Orchestra.open({ programs: new Map([['build', script]]) });
  const run = await first.submit([{ id: 'build', tool: 'sh', args: ['-c', 'x'] }]);
  const output = () => first.rooms.runs.open(run)?.outputs.get('build');
  await expect
    .poll(async () => {
      const lines = output()?.soFar() ?? [];
      return (await Array.fromAsync(lines)).join('');
    })
    .toContain('so far');
  // A copy is what a disk holds of a daemon that was killed.
  cpSync(first.stateDir, stateDir, { recursive: true });
  await using second = await Orchestra.open({ stateDir });
  await second.ended(run);
  const [ended] = ofType(await second.records(run), 'attempt.ended');
  expect(ended?.data).toMatchObject({ outcome: 'lost' });
  const digest = ended?.data.output;
  if (digest === undefined) throw new Error('no output was kept');
  const lines = outputLines(await second.rooms.deps.blobs.open(digest));
  expect((await Array.fromAsync(lines)).join('')).toContain('so far');
  expect(readdirSync(join(stateDir, 'output', run))).toEqual([]);
});

test('a task is closed even where its output cannot be kept', async () => {
  const stateDir = mkdtempSync(join(tmpdir(), 'orchestra-full-'));
  dirs.push(stateDir);
  const path = outputPath(stateDir, 'r-1', 'test:unit');
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, 'something');
  let asked = 0;
  const blobs = {
    put: () => {
      asked += 1;
      return Promise.reject(new Error('the disk is full'));
    },
  } as unknown as BlobStore;
  expect(await keepLeftOutput({ stateDir, blobs }, 'r-1', 'test:unit')).toEqual({
    output_bytes: 0,
  });
  expect(asked).toBe(1);
});
