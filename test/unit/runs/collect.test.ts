import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { SandboxSpec } from '#daemon/policy/spec.ts';
import type { Script } from '#test/support/fake-engine.ts';
import { Orchestra, type PlanFileTask } from '#test/support/orchestra.ts';

const standard = readFileSync(new URL('../../../policies/default.yaml', import.meta.url), 'utf8');
const policy = {
  text: standard
    .replace('name: default', 'name: small')
    .replace(/artifact_files: \d+/, 'artifact_files: 100')
    .replace(/artifact_bytes: \w+/, 'artifact_bytes: 1KiB'),
  file: 'small.yaml',
};

/** Leaves `count` files of `bytes` each under `<id>/`, which its plan calls an output. */
function leaves(id: string, count: number, bytes: number): Script {
  const effect = ({ mounts }: SandboxSpec) => {
    const overlay = mounts.find((mount) => mount.kind === 'overlay');
    const dir = join(overlay?.upper ?? '', id);
    mkdirSync(dir);
    for (let at = 0; at < count; at += 1) writeFileSync(join(dir, String(at)), id.repeat(bytes));
  };
  return { effect, delayMs: 50 };
}

const task = (id: string): PlanFileTask => ({
  id,
  tool: 'node',
  args: ['make.js'],
  outputs: [{ name: id, path: id }],
  on_failure: 'continue',
});

test('tasks that end at once have together no more artifacts than one after the other', async () => {
  const ids = ['a', 'b', 'c', 'd'];
  await using it = await Orchestra.open({
    programs: new Map(ids.map((id) => [id, leaves(id, 60, 3)])),
  });
  const run = await it.run(ids.map(task), { concurrency: 4, policy });
  const { tasks } = await it.rooms.runs.view(run);
  const kept = tasks.filter(({ artifacts }) => artifacts.length > 0);
  expect(kept.map(({ state }) => state)).toEqual(['succeeded']);
  for (const { state, reason } of tasks.filter((each) => !kept.includes(each))) {
    expect([state, reason]).toEqual(['failed', expect.stringMatching(/more than \d+ files/)]);
  }
});

test('what was collected before its daemon was killed is not collected a second time', async () => {
  await using first = await Orchestra.open({
    programs: new Map<string, Script>([
      ['a', leaves('a', 1, 700)],
      ['b', { hang: true }],
    ]),
  });
  const run = await first.submit([task('a'), { ...task('b'), deps: ['a'] }], { policy });
  const stateOf = (id: string) => first.rooms.deps.states.find(run)?.tasks.get(id)?.state;
  await expect.poll(() => stateOf('b')).toBe('running');
  const stateDir = mkdtempSync(join(tmpdir(), 'orchestra-killed-'));
  cpSync(first.stateDir, stateDir, { recursive: true, verbatimSymlinks: true });
  try {
    await using second = await Orchestra.open({
      stateDir,
      programs: new Map([['b', leaves('b', 1, 700)]]),
    });
    await second.ended(run);
    const { tasks } = await second.rooms.runs.view(run);
    expect(tasks.map(({ state, reason }) => [state, reason])).toEqual([
      ['succeeded', undefined],
      ['failed', 'output b (b): more than 324 bytes'],
    ]);
  } finally {
    rmSync(stateDir, { recursive: true, force: true });
  }
});
