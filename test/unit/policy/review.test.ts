import { expect, test } from 'vitest';
import type { Plan } from '#contract/plan.ts';
import { review } from '#daemon/policy/review.ts';
import { shippedPolicy, testImage } from '#test/support/policies.ts';

const policy = shippedPolicy('strict');
const plan: Plan = {
  version: 1,
  planner: 'rules',
  assumptions: [],
  policy: { name: policy.name, digest: policy.digest },
  image: testImage,
  tasks: [
    {
      id: 'test',
      title: 'npm test',
      why: '',
      tool: 'npm',
      args: ['test'],
      env: { CI: 'true' },
      cwd: '.',
      deps: [],
      outputs: [],
      onFailure: 'stop',
      secrets: [],
      command: ['npm', 'test'],
      provisions: [],
      limits: policy.limits,
    },
  ],
};

test('a plan that was made under the policy is allowed', () => {
  expect(review(plan, policy)).toEqual({ allow: true });
});

test('every task is judged, and every reason told', () => {
  const [task] = plan.tasks;
  if (task === undefined) throw new Error('no task');
  const decision = review(
    {
      ...plan,
      policy: { name: 'x', digest: testImage.id },
      image: { ...testImage, reference: 'debian' },
      tasks: [
        { ...task, tool: 'sh', env: { PATH: '/x', OTHER: '' } },
        {
          ...task,
          id: 'two',
          args: ['ci'],
          limits: { ...task.limits, pids: task.limits.pids + 1 },
        },
      ],
    },
    policy,
  );
  const reasons = decision.allow ? [] : decision.reasons.map((r) => `${r.task ?? '-'} ${r.rule}`);
  expect(reasons).toEqual([
    '- policy',
    '- image',
    'test tools',
    'test environment',
    'test environment',
    'two provision',
    'two limits',
  ]);
});
