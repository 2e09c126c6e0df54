import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { IgnoreRules } from '#cli/workspace/ignore-rules.ts';
import { walk } from '#cli/workspace/walk.ts';
import { defaultTreeLimits } from '#contract/snapshot.ts';

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

test('a second run sees what the first one saw: the folder of its report is no news', () => {
  const dir = mkdtempSync(join(tmpdir(), 'orc-reports-'));
  const seen = () => walk(dir, defaultTreeLimits).entries.map(({ path }) => path);
  try {
    writeFileSync(join(dir, 'a'), '');
    mkdirSync(join(dir, 'runs/r-0123456789/logs'), { recursive: true });
    writeFileSync(join(dir, 'runs/r-0123456789/report.md'), '');
    expect(seen()).toEqual(['a']);
    writeFileSync(join(dir, 'runs/notes.md'), '');
    expect(seen()).toEqual(['a', 'runs', 'runs/notes.md']);
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test('a folder of that name that the user made is seen, even empty', () => {
  const dir = mkdtempSync(join(tmpdir(), 'orc-reports-'));
  try {
    mkdirSync(join(dir, 'runs'));
    expect(walk(dir, defaultTreeLimits).entries.map(({ path }) => path)).toEqual(['runs']);
  } finally {
    rmSync(dir, { recursive: true });
  }
});
