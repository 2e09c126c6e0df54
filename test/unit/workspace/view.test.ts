import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { hasDirectory } from '#daemon/workspace/view.ts';

let dir: string;
let upper: string;
let lower: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'orc-view-'));
  [upper, lower] = [join(dir, 'upper'), join(dir, 'lower')];
  mkdirSync(join(lower, 'packages/a'), { recursive: true });
  mkdirSync(join(upper, 'made'), { recursive: true });
});

afterEach(() => rmSync(dir, { recursive: true }));

const has = (path: string) => hasDirectory([upper, lower], path);

test('a directory of any layer is there, and the top always', () => {
  expect([has('.'), has('packages/a'), has('./packages'), has('made')]).toEqual([
    true,
    true,
    true,
    true,
  ]);
});

test('what is missing, a file, and a link are no directory', () => {
  writeFileSync(join(lower, 'file'), '');
  symlinkSync('packages', join(lower, 'link'));
  symlinkSync('/', join(upper, 'out'));
  expect(['nothing', 'packages/b', 'file', 'file/x', 'link', 'link/a', 'out/etc'].map(has)).toEqual(
    Array.from({ length: 7 }, () => false),
  );
});

test.skipIf(process.getuid?.() !== 0)('what a layer deleted is not there (needs mknod)', () => {
  execFileSync('mknod', [join(upper, 'packages'), 'c', '0', '0']);
  expect(has('packages')).toBe(false);
});

test('no descriptor is left open', () => {
  const open = () => readdirSync('/proc/self/fd').length;
  writeFileSync(join(lower, 'file'), '');
  has('packages/a');
  const before = open();
  for (const path of ['packages/a', 'file', 'nothing', 'file/x']) has(path);
  expect(open()).toBe(before);
});
