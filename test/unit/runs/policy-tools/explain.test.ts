import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import type { RunId } from '#contract/ids.ts';
import { explainDecisions } from '#daemon/runs/policy-tools/explain.ts';
import { blobPath } from '#daemon/artifacts/blob-path.ts';
import { policyText } from '#test/support/policy-text.ts';
import { Site } from '#test/support/site.ts';

const rules = (more = '') => `
rules:
  - { id: builds, when: 'task.tool in ["npm", "node"]', effect: allow, reason: builds are fine }
  - { id: no-eve, when: 'task.id == "eve"', effect: deny, reason: eve is not welcome }
${more}`;

function explain({ it }: Site, run: RunId, task?: string) {
  const { runs, deps } = it.rooms;
  return explainDecisions(runs, deps, { run, task, limit: 100 });
}

let site: Site | undefined;
afterEach(async () => {
  await site?.[Symbol.asyncDispose]();
  site = undefined;
});

const node = { tool: 'node', args: ['a.js'] };

describe('a decision', () => {
  test('of a task that was denied names the rule, its document, line and digest', async () => {
    const text = policyText('site', rules());
    site = await Site.open('site', text);
    const run = await site.it.run([{ id: 'eve', ...node }]);
    const { tasks } = await explain(site, run);
    const line = text.split('\n').findIndex((one) => one.includes('id: no-eve')) + 1;
    const [decision] = tasks.find(({ task }) => task === '(plan)')?.decisions ?? [];
    expect(decision).toMatchObject({
      moment: 'submitted',
      effect: 'deny',
      rules: [{ document: 'site', id: 'no-eve', line, effect: 'deny', decides: true }],
    });
    expect(decision?.rules[0]?.digest).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(decision?.reasons).toContainEqual(expect.stringContaining('eve is not welcome'));
  });

  test('names a task that there is not', async () => {
    site = await Site.open('site', policyText('site', rules()));
    const run = await site.it.run([{ id: 'one', ...node }]);
    await expect(explain(site, run, 'two')).rejects.toMatchObject({ code: 'task.unknown' });
  });

  test('is told with the value of every rule of every document', async () => {
    site = await Site.open('site', policyText('site', rules()));
    const run = await site.it.run([{ id: 'one', ...node }]);
    const { tasks } = await explain(site, run, 'one');
    const used = tasks[0]?.decisions.find(({ moment }) => moment === 'used');
    expect(used).toMatchObject({ effect: 'allow', source: 'kept' });
    expect(
      used?.rules.map(({ document, id, value, decides }) => [document, id, value, decides]),
    ).toEqual([
      ['default', 'lists', 'true', true],
      ['site', 'lists', 'false', false],
      ['site', 'builds', 'true', true],
      ['site', 'no-eve', 'false', false],
      ['site', 'default', 'false', false],
    ]);
  });

  test('stays what it was when the file says something else', async () => {
    site = await Site.open('site', policyText('site', rules()));
    const run = await site.it.run([{ id: 'one', ...node }]);
    const before = await explain(site, run, 'one');
    site.write(
      'site',
      policyText('site', rules().replace('builds are fine', 'no').replace('node', 'sh')),
    );
    await site.it.rooms.deps.policies.reload();
    const after = await explain(site, run, 'one');
    expect(after.tasks).toEqual(before.tasks);
    expect(before.documents.map(({ in_force }) => in_force)).toEqual([true, true]);
    expect(after.documents.map(({ in_force }) => in_force)).toEqual([true, false]);
  });

  test('says so where what was judged is not kept any more', async () => {
    site = await Site.open('site', policyText('site', rules()));
    const run = await site.it.run([{ id: 'one', ...node }]);
    const { tasks } = await explain(site, run);
    const input = tasks.flatMap(({ decisions }) => decisions).find((one) => one.input)?.input;
    rmSync(blobPath(join(site.it.stateDir, 'blobs'), input ?? ''));
    const used = (await explain(site, run, 'one')).tasks[0]?.decisions.at(-1);
    expect(used).toMatchObject({
      source: 'recorded',
      because: 'what was judged is not kept any more',
      rules: [{ id: 'lists' }, { id: 'builds', reason: 'builds are fine' }],
    });
  });

  test('needs no input where documents have nothing but lists', async () => {
    site = await Site.open('site', policyText('site'));
    const run = await site.it.run([{ id: 'one', ...node }]);
    const used = (await explain(site, run, 'one')).tasks[0]?.decisions.at(-1);
    expect(used).toMatchObject({ source: 'recorded', rules: [{ id: 'lists' }, { id: 'lists' }] });
  });
});
