import { expect, test } from 'vitest';
import { summarize } from '#daemon/planner/summary.ts';
import { validateDraft } from '#daemon/planner/validate.ts';
import { shippedPolicy, testImage, testImageTools } from '#test/support/policies.ts';

test('a summary names tools, packages, outputs and what was assumed', () => {
  const common = { why: '', env: [], cwd: '.', limits: {}, onFailure: 'stop' };
  const result = validateDraft(
    {
      version: 1,
      assumptions: ['Something was assumed.'],
      tasks: [
        { ...common, id: 'install', title: 'i', tool: 'npm', args: ['ci'], deps: [], outputs: [] },
        {
          ...common,
          id: 'build',
          title: 'b',
          tool: 'node',
          args: ['b.js'],
          deps: ['install'],
          outputs: [{ name: 'dist', path: 'dist', required: true }],
        },
      ],
    },
    {
      planner: 'file',
      policy: shippedPolicy('default'),
      image: testImage,
      imageTools: testImageTools,
    },
  );
  expect(result.ok && summarize(result.plan)).toEqual([
    '2 tasks in node:20-alpine, policy default, no network',
    'tools: node, npm',
    'packages that the lockfile pins are provided to install',
    '1 output',
    'Something was assumed.',
  ]);
});
