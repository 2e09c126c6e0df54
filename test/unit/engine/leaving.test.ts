import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { isLeaving } from '#daemon/engine/leaving.ts';

let proc: string;
beforeAll(() => {
  proc = mkdtempSync(path.join(tmpdir(), 'orchestra-proc-'));
});
afterAll(() => rmSync(proc, { recursive: true, force: true }));

function says(stat: string): boolean {
  mkdirSync(path.join(proc, '7'), { recursive: true });
  writeFileSync(path.join(proc, '7', 'stat'), stat);
  return isLeaving(7, proc);
}

test.each([
  ['runs', '7 (sh) S 1 7 7 0 -1 4194560 100 0', false],
  ['is on its way out and not dead yet', '7 (sh) D 1 7 7 0 -1 4194564 100 0', true],
  ['is dead and not reaped', '7 (sh) Z 1 7 7 0 -1 4194560 100 0', true],
  ['gave itself a name like a state', '7 (a) Z 1 1 1 1 1 4 (b) S 1 7 7 0 -1 4194560 9 0', false],
  ['is not told of in known words', '7 (sh) S', true],
])('a process that %s', (_what, stat, wanted) => {
  expect(says(stat)).toBe(wanted);
});

test('this process runs, and one that ended does not', async () => {
  expect(isLeaving(process.pid)).toBe(false);
  const child = spawn('true');
  await once(child, 'exit');
  expect(isLeaving(child.pid ?? 0)).toBe(true);
});
