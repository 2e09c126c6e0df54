import { expect, test } from 'vitest';
import { plan, type PlanRequest } from '#daemon/planner/planner.ts';
import { seal } from '#daemon/policy/effective.ts';
import { shippedPolicy, testImage, testImageTools } from '#test/support/policies.ts';

const { digest: _, ...open } = shippedPolicy('default');
const policy = seal({
  ...open,
  secrets: [{ name: 'TOKEN', tools: ['node'], tasks: ['publish'] }],
});

function planned(text: string) {
  const request: Omit<PlanRequest, 'profile'> = {
    intent: '',
    policy,
    image: testImage,
    imageTools: testImageTools,
    planText: { text, file: 'plan.yaml' },
  };
  return plan(request as PlanRequest);
}

const task = (id: string, secrets: string) =>
  `version: 1\ntasks:\n  - id: ${id}\n    tool: node\n    args: [a.js]\n    secrets: ${secrets}\n`;

test('a secret that the policy does not grant is denied with its place', () => {
  expect(() => planned(task('build', '[TOKEN]'))).toThrow(
    expect.objectContaining({
      code: 'policy.denied',
      places: [expect.objectContaining({ file: 'plan.yaml', line: 6 })],
    }),
  );
  expect(() => planned(task('publish', '[TOKEN, OTHER]'))).toThrow(
    'policy default grants no secret OTHER',
  );
});

test.each(["['../TOKEN']", '[TOKEN, TOKEN]', '[{ name: TOKEN, path: /etc/x }]', '[[]]', 'TOKEN'])(
  'secrets written as %s are no plan',
  (secrets) => {
    expect(() => planned(task('publish', secrets))).toThrow(
      expect.objectContaining({ code: 'plan.invalid' }),
    );
  },
);

test('a plan that names a secret is another plan than the same one without', () => {
  const withOne = planned(task('publish', '[TOKEN]'));
  expect(withOne.plan.tasks[0]?.secrets).toEqual(['TOKEN']);
  expect(withOne.digest).not.toBe(planned(task('publish', '[]')).digest);
});
