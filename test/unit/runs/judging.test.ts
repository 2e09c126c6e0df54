import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openJudge } from '#daemon/policy/judge.ts';
import type { EffectivePolicy } from '#daemon/policy/effective.ts';
import type { PolicyInput } from '#daemon/policy/judgement.ts';
import { ofType, Orchestra } from '#test/support/orchestra.ts';
import { tempDir } from '#test/support/temp-dir.ts';

const shipped = new URL('../../../policies', import.meta.url).pathname;
const standard = await readFile(join(shipped, 'default.yaml'), 'utf8');

const build = { id: 'build', tool: 'node', args: ['build.js'] };
const after = { id: 'after', tool: 'node', args: ['after.js'], deps: ['build'] };

/** Policies of its own, with more in the one that is default and ceiling at once. */
async function withPolicy(more: string, text = standard) {
  const dir = await tempDir();
  for (const name of ['ci.yaml', 'strict.yaml', 'seccomp.json']) {
    await copyFile(join(shipped, name), join(dir.path, name));
  }
  const file = join(dir.path, 'default.yaml');
  await writeFile(file, `${text}\n${more}`);
  const it = await Orchestra.open({ policiesDir: dir.path });
  return {
    it,
    file,
    async [Symbol.asyncDispose]() {
      await it[Symbol.asyncDispose]();
      await dir[Symbol.asyncDispose]();
    },
  };
}

const allowed = `  - { id: programs, when: task.tool == "node", effect: allow, reason: our own programs }`;

test('a plan that rules deny is refused with every reason, and the record names them', async () => {
  await using made = await withPolicy(`rules:
${allowed}
  - { id: no-build, when: task.id == "build", effect: deny, reason: nothing is built today }
  - { id: no-after, when: '"build" in task.needs', effect: deny, reason: and nothing after it }
`);
  const { it } = made;
  const run = await it.run([build, after]);
  expect(it.rooms.runs.find(run).state).toBe('violated');
  const [decided] = ofType(await it.records(run), 'policy.decided');
  expect(decided?.pol?.rule).toBe('default/no-build');
  expect(decided?.data.rules?.map(({ id }) => id)).toEqual(['no-build', 'no-after']);
  expect(decided?.data.reasons.join('\n')).toContain('nothing is built today');
  expect(decided?.data.reasons.join('\n')).toContain('and nothing after it');
});

test('the decision of each task names its rules, and can be made again from what is kept', async () => {
  await using made = await withPolicy(`rules:\n${allowed}\n`);
  const { it } = made;
  const run = await it.run([build]);
  expect(it.rooms.runs.find(run).state).toBe('succeeded');
  const [decided] = ofType(await it.records(run), 'policy.decided').filter(
    (record) => record.obj?.['task'] === 'build',
  );
  expect(decided?.pol?.rule).toBe('default/programs');
  const text = await readFile(made.file, 'utf8');
  const [rule] = decided?.data.rules ?? [];
  expect(text.split('\n')[(rule?.line ?? 0) - 1]).toContain('id: programs');
  const { blobs, policies } = it.rooms.deps;
  const read = async (digest: string | undefined) =>
    JSON.parse((await blobs.read(digest as never, { maxBytes: 1e7 })).toString('utf8')) as unknown;
  const kept = (await read(decided?.pol?.hash)) as EffectivePolicy;
  const input = (await read(decided?.data.input)) as PolicyInput;
  const again = openJudge().judge(policies.again({ ...kept, digest: 'sha256:x' }).policy, input);
  expect(again.effect).toBe('allow');
  expect(again.deciding.map(({ id }) => id)).toEqual(['programs']);
});

test('a ceiling that was lowered meanwhile counts for the next task of an open run', async () => {
  await using made = await withPolicy('');
  const { it, file } = made;
  it.programs.set('build', {
    exitCode: 0,
    effect: async () => {
      await writeFile(
        file,
        `${standard}\nrules:\n  - { id: none, when: 'true', effect: deny, reason: closed }\n`,
      );
      await it.rooms.deps.policies.reload();
    },
  });
  const run = await it.run([build, after]);
  expect(it.rooms.runs.find(run).tasks.get('build')?.state).toBe('succeeded');
  expect(it.rooms.runs.find(run).tasks.get('after')?.state).not.toBe('succeeded');
  const decided = ofType(await it.records(run), 'policy.decided').findLast(
    ({ obj }) => obj?.['task'] === 'after',
  );
  expect(decided).toMatchObject({ outcome: 'denied', pol: { rule: 'default/none' } });
});

test('the limits of a profile are those of its tasks, and no other’s', async () => {
  await using made = await withPolicy(`profiles:
  small: { when: task.id == "after", limits: { memory: 64MiB } }
`);
  const { it } = made;
  const run = await it.run([build, after]);
  const { plan } = it.rooms.runs.find(run);
  const { tasks } = JSON.parse(
    (await it.rooms.deps.blobs.read(plan as never, { maxBytes: 1e7 })).toString(),
  ) as {
    tasks: { id: string; limits: { memoryBytes: number } }[];
  };
  expect(tasks.map(({ id, limits }) => [id, limits.memoryBytes])).toEqual([
    ['build', 2 * 1024 ** 3],
    ['after', 64 * 1024 ** 2],
  ]);
});
