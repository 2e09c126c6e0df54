import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readTrial, trialScript, trialsMax } from '#daemon/tools/advertised/trial.ts';
import { tempDir } from '#test/support/temp-dir.ts';

test('lines that make no sense count for nothing, and the first of a program is the one', () => {
  const said = ['t 0 127', 't 0 0', 't 9 0', 't 1', 't -1 0', 't 1 0 ', 'x', 't 1 2', ''].join(
    '\n',
  );
  expect([...readTrial(said, ['/bin/a', '/bin/b', '/bin/c'])]).toEqual([
    ['/bin/a', false],
    ['/bin/b', true],
  ]);
});

test('whatever is printed, nothing is said of a program that was not given', () => {
  fc.assert(
    fc.property(fc.string(), fc.array(fc.string(), { maxLength: 4 }), (output, paths) => {
      for (const path of readTrial(output, paths).keys()) expect(paths).toContain(path);
    }),
  );
});

test('no more programs are tried than there may be', () => {
  const paths = Array.from({ length: trialsMax + 5 }, (_, i) => `/bin/p${i}`);
  expect(trialScript(paths)).not.toContain(`/bin/p${trialsMax}`);
});

test('in a shell: what floods or fails has started, what is no program has not, and paths stay paths', async () => {
  await using dir = await tempDir();
  const program = (name: string, text: string, mode = 0o755) => {
    const path = join(dir.path, name);
    mkdirSync(join(path, '..'), { recursive: true });
    writeFileSync(path, text);
    chmodSync(path, mode);
    return path;
  };
  const paths = [
    program('good', '#!/bin/sh\nexit 0\n'),
    program('unknown-flag', '#!/bin/sh\nexit 2\n'),
    program('loud', '#!/bin/sh\necho t 0 127\nhead -c 1000000 /dev/zero\n'),
    program('no-interpreter', '#!/none\n'),
    program("it's; touch x $(id)", '#!/bin/sh\nexit 0\n'),
    join(dir.path, 'missing'),
  ];
  const { stdout } = spawnSync('sh', ['-c', trialScript(paths)], {
    cwd: dir.path,
    encoding: 'utf8',
  });
  expect(stdout.split('\n').length).toBe(paths.length + 1);
  expect([...readTrial(stdout, paths).values()]).toEqual([true, true, true, false, true, false]);
});
