import { writeFile } from 'node:fs/promises';
import { release } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { kernelModules } from '#daemon/engine/kernel-modules.ts';
import { tempDir } from '#test/support/temp-dir.ts';

const said = { kernel: release(), apparmor: true, selinux: false };

test('the kernel names its modules in its own order', async () => {
  await using dir = await tempDir();
  const file = join(dir.path, 'lsm');
  await writeFile(file, 'lockdown,capability,landlock,apparmor\n');
  expect(await kernelModules(said, file)).toEqual([
    'lockdown',
    'capability',
    'landlock',
    'apparmor',
  ]);
});

test('a kernel of another machine is not asked here', async () => {
  await using dir = await tempDir();
  const file = join(dir.path, 'lsm');
  await writeFile(file, 'landlock');
  expect(await kernelModules({ ...said, kernel: 'another' }, file)).toEqual(['apparmor']);
});

test.each(['', '../x,<b>,'])(
  'a list that says nothing sensible (%j) leaves what the engine says',
  async (text) => {
    await using dir = await tempDir();
    const file = join(dir.path, 'lsm');
    await writeFile(file, text);
    expect(await kernelModules(said, file)).toEqual(['apparmor']);
    expect(await kernelModules(said, join(dir.path, 'none'))).toEqual(['apparmor']);
  },
);
