import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { IgnoreRules } from '#cli/workspace/ignore-rules.ts';

test('reports of earlier runs stay at home, other things named runs do not', () => {
  const dir = mkdtempSync(join(tmpdir(), 'orc-reports-'));
  try {
    mkdirSync(join(dir, 'runs'));
    writeFileSync(join(dir, 'runs/notes.md'), '');
    const rules = IgnoreRules.atRoot(dir, ['runs']);
    const ignored = (path: string, isDir: boolean) => rules.ignores(path, isDir);
    expect(ignored('runs/r-0123456789', true)).toBe(true);
    expect(ignored('runs', true)).toBe(false);
    expect(ignored('runs/notes.md', false)).toBe(false);
    expect(ignored('src/runs/r-0123456789', true)).toBe(false);
  } finally {
    rmSync(dir, { recursive: true });
  }
});
