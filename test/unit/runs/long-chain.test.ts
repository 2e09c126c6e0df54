import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { isLayered, workspaceTarget } from '#daemon/policy/spec.ts';
import { Orchestra } from '#test/support/orchestra.ts';
import { labelNames } from '#daemon/engine/labels.ts';

test('a chain that is longer than the kernel takes layers runs to its end', async () => {
  await using it = await Orchestra.open();
  const count = 130;
  const lowers: number[] = [];
  for (let n = 0; n < count; n += 1) {
    it.programs.set(`t${n}`, {
      effect: (spec) => {
        const mount = spec.mounts.find(({ target }) => target === workspaceTarget);
        if (mount === undefined || !isLayered(mount)) throw new Error(labelNames.task);
        lowers.push(mount.lower.length);
        writeFileSync(join(mount.upper, `made-${n}`), `${n}`);
      },
    });
  }
  const tasks = Array.from({ length: count }, (_, n) => ({
    id: `t${n}`,
    tool: 'sh',
    args: ['-c', `echo ${n}`],
    ...(n === 0 ? {} : { deps: [`t${n - 1}`] }),
  }));
  const run = await it.run(tasks);
  const records = await it.records(run);
  expect(records.find(({ type }) => type === 'run.closed')).toMatchObject({ outcome: 'ok' });
  expect(lowers).toHaveLength(count);
  expect(Math.max(...lowers)).toBeLessThan(count);
  expect(readdirSync(join(it.stateDir, 'flat')).length).toBeGreaterThan(0);
});
