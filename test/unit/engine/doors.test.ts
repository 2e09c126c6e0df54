import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openDoors } from '#daemon/engine/doors.ts';
import type { Kernel } from '#daemon/engine/kernel.ts';
import { gateTarget, npmCacheTarget, workspaceTarget } from '#daemon/policy/spec.ts';
import { testSpec } from '#test/support/sandbox-spec.ts';

const targets = [workspaceTarget, npmCacheTarget, gateTarget];
const kernel = {
  makePipe: (file: string) => writeFileSync(file, ''),
  unmount: () => Promise.resolve(false),
} as unknown as Kernel;

let dir: string;
beforeEach(() => {
  dir = path.join(mkdtempSync(path.join(tmpdir(), 'orchestra-doors-')), 'slots');
});
afterEach(() => rmSync(path.dirname(dir), { recursive: true, force: true }));

test('nobody else on the machine gets at the doors, whatever they were before', () => {
  openDoors(dir, kernel);
  expect(statSync(dir).mode & 0o777).toBe(0o700);
});

test('what an earlier daemon left stays until it is cleared, and is not used for another', async () => {
  const [old] = openDoors(dir, kernel).make(targets);
  const doors = openDoors(dir, kernel);
  expect(existsSync(old?.source ?? '')).toBe(true);
  const [made] = doors.make(targets);
  expect(made?.source).not.toBe(old?.source);
  await doors.clear();
  expect(existsSync(old?.source ?? '')).toBe(false);
  expect(existsSync(made?.source ?? '')).toBe(true);
});

test('what is adopted is not cleared, is closed like any other, and is used again then', async () => {
  const old = openDoors(dir, kernel).make(targets);
  const doors = openDoors(dir, kernel);
  expect(doors.adopt(old, testSpec())).toBe(true);
  await doors.clear();
  expect(existsSync(old[0]?.source ?? '')).toBe(true);
  doors.close(old);
  await doors.settled();
  expect(doors.make(targets)).toEqual(old);
});

test('doors that are in use, of somebody else, incomplete or led astray are not adopted', () => {
  const left = openDoors(dir, kernel).make(targets);
  const doors = openDoors(dir, kernel);
  const own = doors.make(targets);
  const elsewhere = left.map((door, at) => ({ ...door, source: `/elsewhere/1/${at}` }));
  const astray = left.map((door, at) => ({
    ...door,
    source: path.join(dir, '1', '..', String(at)),
  }));
  const task = testSpec();
  expect(doors.adopt([], task)).toBe(false);
  for (const none of [own, elsewhere, astray, left.slice(1), left.toReversed()]) {
    expect(doors.adopt(none, task)).toBe(false);
  }
  expect(doors.adopt(left, task)).toBe(true);
  expect(doors.adopt(left, task)).toBe(false);
});

test('what cannot be cleared stays, and stops nobody', async () => {
  const [old] = openDoors(dir, kernel).make(targets);
  writeFileSync(path.join(old?.source ?? '', 'strange'), '');
  writeFileSync(path.join(dir, 'strange'), '');
  const doors = openDoors(dir, kernel);
  await doors.clear();
  expect(readdirSync(dir).toSorted()).toEqual(['1', 'strange']);
  expect(path.basename(path.dirname(doors.make(targets)[0]?.source ?? ''))).toBe('2');
});
