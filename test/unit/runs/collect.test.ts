import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { SandboxSpec } from '#daemon/policy/spec.ts';
import type { Script } from '#test/support/fake-engine.ts';
import { Orchestra, type PlanFileTask } from '#test/support/orchestra.ts';

const standard = readFileSync(new URL('../../../policies/default.yaml', import.meta.url), 'utf8');
const policy = {
  text: standard
    .replace('name: default', 'name: small')
    .replace(/artifact_files: \d+/, 'artifact_files: 100'),
  file: 'small.yaml',
};

/** Leaves `count` files under `<id>/`, which its plan calls an output. */
function leaves(id: string, count: number): Script {
  const effect = ({ mounts }: SandboxSpec) => {
    const overlay = mounts.find((mount) => mount.kind === 'overlay');
    const dir = join(overlay?.upper ?? '', id);
    mkdirSync(dir);
    for (let at = 0; at < count; at += 1) writeFileSync(join(dir, String(at)), `${id} ${at}`);
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
    programs: new Map(ids.map((id) => [id, leaves(id, 60)])),
  });
  const run = await it.run(ids.map(task), { concurrency: 4, policy });
  const { tasks } = await it.rooms.runs.view(run);
  const kept = tasks.filter(({ artifacts }) => artifacts.length > 0);
  expect(kept.map(({ state }) => state)).toEqual(['succeeded']);
  for (const { state, reason } of tasks.filter((each) => !kept.includes(each))) {
    expect([state, reason]).toEqual(['failed', expect.stringMatching(/more than \d+ files/)]);
  }
});
