import { expect, test } from 'vitest';
import { policyText } from '#test/support/policy-text.ts';
import { Site } from '#test/support/site.ts';

const text = (limit: number) =>
  policyText(
    'site',
    `
rules:
  - { id: small, when: task.limits.pids < ${limit}, effect: allow, reason: small }
invariants:
  - { id: few, statement: nobody of ours has many processes, never: 'run.policy == "site" && profile.document == "site" && effect == "allow" && task.limits.pids > 100' }
`,
  );

test('a reload that breaks an invariant keeps what was in force, and is on record', async () => {
  await using site = await Site.open('site', text(100));
  const { policies } = site.it.rooms.deps;
  const before = policies.get('site').policy.digest;
  site.write('site', text(500));
  await expect(policies.reload()).rejects.toMatchObject({
    code: 'policy.invalid',
    places: [expect.objectContaining({ message: expect.stringContaining('site/few is broken') })],
  });
  expect(policies.get('site').policy.digest).toBe(before);
  const rejected = (await site.it.records()).findLast(({ type }) => type === 'policy.rejected');
  expect(rejected?.data).toMatchObject({ reason: expect.stringContaining('site/few') });
});

test('a start with a broken invariant is refused', async () => {
  await expect(Site.open('site', text(500))).rejects.toMatchObject({ code: 'policy.invalid' });
});
