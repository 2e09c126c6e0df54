import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import type { DryRunPolicy } from '#contract/policy-tools.ts';
import { blobPath } from '#daemon/artifacts/blob-path.ts';
import { dryRun } from '#daemon/runs/policy-tools/dry-run.ts';
import { policyText } from '#test/support/policy-text.ts';
import { Site } from '#test/support/site.ts';

const rules = (deny: string) => `
rules:
  - { id: builds, when: 'task.tool in ["npm", "node", "sh"]', effect: allow, reason: builds are fine }
  - { id: no, when: '${deny}', effect: deny, reason: not any more }
`;

let site: Site;
afterEach(async () => site[Symbol.asyncDispose]());

function tried(text: string, more: Partial<DryRunPolicy> = {}, sees = () => true) {
  const { runs, deps } = site.it.rooms;
  const policy = { file: 'new.yaml', text };
  const signal = new AbortController().signal;
  return dryRun(runs, deps, { policy, ...more }, { caller: { sees }, signal });
}

const two = [
  { id: 'one', tool: 'node', args: ['a.js'] },
  { id: 'two', tool: 'sh', args: ['-c', 'true'], deps: ['one'] },
];

describe('a dry run', () => {
  test('names the tasks that would now be denied, and the rule', async () => {
    site = await Site.open('site', policyText('site', rules('task.id == "eve"')));
    const run = await site.it.run(two);
    const text = policyText('site', rules('task.tool == "sh"'));
    const line = text.split('\n').findIndex((each) => each.includes('id: no')) + 1;
    expect(await tried(text)).toMatchObject({
      runs: 1,
      tasks: 2,
      same: 1,
      denied: 1,
      changed: [
        {
          run,
          task: 'two',
          before: 'allow',
          after: 'deny',
          by: 'site/no',
          line,
          reason: 'not any more',
        },
      ],
      by_rule: [{ rule: 'site/no', line, effect: 'deny', tasks: 1 }],
      unknown: [],
    });
  });

  test('judges what was kept: who submitted it, and the sandbox that it had', async () => {
    site = await Site.open('site', policyText('site', rules('task.id == "eve"')));
    await site.it.run(two);
    expect(await tried(policyText('site', rules('actor.uid == 1000')))).toMatchObject({
      denied: 2,
    });
    expect(await tried(policyText('site', rules('actor.uid == 1001')))).toMatchObject({
      denied: 0,
    });
    expect(await tried(policyText('site', rules('spec.uid == 0')))).toMatchObject({ denied: 0 });
  });

  test('makes of the plan and the sandbox what no rule had to look at then', async () => {
    site = await Site.open('site', policyText('site'));
    await site.it.run(two);
    const answer = await tried(policyText('site', rules('task.id == "two" && actor.uid == 1000')));
    expect(answer).toMatchObject({ tasks: 2, denied: 1, changed: [{ task: 'two' }] });
  });

  test('denies nothing for a limit, which a plan is made within', async () => {
    site = await Site.open('site', policyText('site'));
    await site.it.run(two);
    const text = policyText('site').replace('memory: 2GiB', 'memory: 64MiB');
    expect(await tried(text)).toMatchObject({ tasks: 2, same: 2 });
  });

  test('says how many it could not judge, and why', async () => {
    site = await Site.open('site', policyText('site', rules('task.id == "eve"')));
    const run = await site.it.run(two);
    await site.it.run([{ id: 'eve', tool: 'node', args: ['a.js'] }]);
    const plan = site.it.rooms.runs.find(run).plan;
    rmSync(blobPath(join(site.it.stateDir, 'blobs'), plan ?? ''));
    const answer = await tried(policyText('site', rules('task.id == "eve"')));
    expect(answer.runs).toBe(0);
    expect(answer.unknown).toHaveLength(2);
  });

  test('leaves out what the caller does not see, and runs under other policies', async () => {
    site = await Site.open('site', policyText('site', rules('task.id == "eve"')));
    await site.it.run(two);
    await site.it.run(two, { policy: { name: 'default' } });
    const text = policyText('site', rules('task.tool == "sh"'));
    expect(await tried(text, {}, () => false)).toMatchObject({ runs: 0, tasks: 0 });
    expect(await tried(text)).toMatchObject({ runs: 1 });
    expect(await tried(text.replace('name: site', 'name: another'))).toMatchObject({ runs: 2 });
    expect(await tried(text.replace('name: site', 'name: another'), { runs: 1 })).toMatchObject({
      runs: 1,
    });
  });

  test('changes nothing and keeps nothing', async () => {
    site = await Site.open('site', policyText('site', rules('task.id == "eve"')));
    await site.it.run(two);
    const before = site.it.log.size;
    await tried(policyText('site', rules('task.tool == "sh"')));
    expect(site.it.log.size).toBe(before);
  });
});
