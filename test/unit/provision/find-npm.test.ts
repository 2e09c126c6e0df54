import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { findNpm } from '#daemon/provision/find-npm.ts';

test('the npm that the search path finds first decides, and a folder without one does not', () => {
  const dir = mkdtempSync(join(tmpdir(), 'orc-npm-'));
  try {
    const [empty, bin, npm] = [join(dir, 'empty'), join(dir, 'bin'), join(dir, 'lib/npm')];
    for (const folder of [empty, bin, join(npm, 'bin')]) mkdirSync(folder, { recursive: true });
    writeFileSync(join(npm, 'bin/npm-cli.js'), '');
    symlinkSync('../lib/npm/bin/npm-cli.js', join(bin, 'npm'));
    expect(findNpm({ PATH: `relative:${empty}:${bin}` })).toEqual({
      npmPath: npm,
      execPath: join(bin, 'node'),
    });
    expect(findNpm({ PATH: empty })).toEqual({});
    expect(findNpm({})).toEqual({});
  } finally {
    rmSync(dir, { recursive: true });
  }
});
