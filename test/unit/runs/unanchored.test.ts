import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { anchoringSettings } from '#daemon/audit/anchoring/settings.ts';
import { examine } from '#daemon/doctor.ts';
import { Orchestra, user, type PlanFileTask } from '#test/support/orchestra.ts';
import { tempDir } from '#test/support/temp-dir.ts';

const tasks: readonly PlanFileTask[] = [{ id: 'build', tool: 'sh', args: ['-c', 'x'] }];

/** An anchor that works while there is a folder for it. */
function config(folder: string, action: 'warn' | 'block', records = 40) {
  const script = `cat > ${folder}/checkpoint.$ORCHESTRA_SIZE`;
  return {
    anchoring: anchoringSettings({
      anchors: [{ name: 'copy', command: ['/bin/sh', '-c', script], every: 1 }],
      max_unanchored: { records, action },
    }),
  };
}

test('a daemon that nobody anchors takes no new run, says why, and takes one again', async () => {
  await using dir = await tempDir();
  const folder = join(dir.path, 'held');
  await using orchestra = await Orchestra.open({ config: config(folder, 'block') });
  const { anchoring } = orchestra.rooms.deps;
  await vi.waitFor(
    async () => {
      await expect(orchestra.run(tasks)).rejects.toMatchObject({ code: 'audit.unanchored' });
    },
    { timeout: 20_000 },
  );
  const peers = [{ proof: 'peer' as const, missing: undefined }];
  const checks = await examine(orchestra.rooms.deps, peers);
  expect(checks.find(({ name }) => name === 'anchors')).toMatchObject({ status: 'problem' });
  await anchoring.look();
  await mkdir(folder);
  const view = await anchoring.now(user, 10_000);
  expect(view).toMatchObject({ limit: { passed: false } });
  await orchestra.run(tasks);
  const records = await orchestra.records();
  const types = records.map(({ type }) => type);
  expect(types.filter((type) => type === 'log.unanchored')).toHaveLength(1);
  expect(types).toContain('anchor.failed');
  const held = await readFile(join(folder, `checkpoint.${view.anchored}`), 'utf8');
  expect(held).toContain(`\n${view.anchored}\n`);
  await rm(folder, { recursive: true });
}, 60_000);

test('with `warn` runs go on', async () => {
  await using dir = await tempDir();
  await using orchestra = await Orchestra.open({ config: config(join(dir.path, 'no'), 'warn', 5) });
  await orchestra.run(tasks);
  await orchestra.run(tasks);
  await orchestra.rooms.deps.anchoring.look();
  const records = await orchestra.records();
  expect(records.filter(({ type }) => type === 'log.unanchored')).toHaveLength(1);
}, 60_000);
