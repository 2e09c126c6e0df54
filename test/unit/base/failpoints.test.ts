import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { armFailpoints, failpoint, failpoints } from '#daemon/base/failpoints.ts';

const root = new URL('../../..', import.meta.url).pathname;
const sources = readdirSync(join(root, 'daemon'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => ({ name, text: readFileSync(join(root, 'daemon', name), 'utf8') }));

test.each(['nothing', 'after-task-started:0', 'after-task-started:x', 'AFTER-TASK-STARTED', ':1'])(
  'a point that is not there cannot be armed: %s',
  (setting) => {
    expect(() => armFailpoints(setting)).toThrow('there is no failpoint');
  },
);

test('nothing happens at a point that nobody armed', () => {
  armFailpoints(undefined);
  armFailpoints('');
  for (const name of failpoints) failpoint(name);
});

test('every point of the table has its one place in the daemon', () => {
  const places = failpoints.map((name) => ({
    name,
    count: sources.reduce(
      (sum, { text }) => sum + text.split(`failpoint('${name}')`).length - 1,
      0,
    ),
  }));
  expect(places.filter(({ count }) => count !== 1)).toEqual([]);
});

test('only the environment arms a point, in the daemon and in its threads', () => {
  const calls = sources.flatMap(({ name, text }) =>
    (text.match(/armFailpoints\(.*\)/g) ?? []).map((call) => `${name} ${call}`),
  );
  expect(calls.toSorted()).toEqual([
    'base/failpoints.ts armFailpoints(setting: string | undefined)',
    "main.ts armFailpoints(process.env['ORCHESTRA_FAILPOINTS'])",
    "workspace/worker.ts armFailpoints(process.env['ORCHESTRA_FAILPOINTS'])",
  ]);
});

test('a point that is armed ends the process at the pass that was named', () => {
  const module = JSON.stringify(join(root, 'daemon/base/failpoints.ts'));
  const program = `
    import { armFailpoints, failpoint } from ${module};
    armFailpoints('after-task-started:3');
    for (const n of [1, 2, 3, 4]) { console.log(n); failpoint('after-task-started'); }`;
  const { signal, stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    encoding: 'utf8',
  });
  expect({ signal, stdout }).toEqual({ signal: 'SIGKILL', stdout: '1\n2\n3\n' });
});
