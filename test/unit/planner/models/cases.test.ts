import { describe, expect, onTestFinished, test } from 'vitest';
import { ModelServer, protocols, says } from '#test/support/model-server.ts';
import { planningCases } from '#test/support/planning-cases.ts';
import { keyFile, planner, plannersOf, saidPlan, wordsFor } from '#test/support/planning.ts';
import { tempDir } from '#test/support/temp-dir.ts';

// The same cases as `npm run test:live`, where real models answer.
describe.each(protocols)('$kind', (protocol) => {
  test.each(planningCases)('$name', async ({ intent, files, answer, complaint }) => {
    const server = await ModelServer.open(says(protocol, answer));
    const dir = await tempDir();
    onTestFinished(async () => {
      await server[Symbol.asyncDispose]();
      await dir[Symbol.asyncDispose]();
    });
    const { planners } = plannersOf([planner(protocol, server, keyFile(dir.path))]);
    const request = await wordsFor(intent, files, { planner: protocol.kind });
    const { plan } = await planners.plan(request, { signal: new AbortController().signal });
    expect(complaint(plan)).toBeUndefined();
  });
});

test('each case complains about a plan that does something else', async () => {
  const [protocol] = protocols;
  if (protocol === undefined) throw new Error('no protocol');
  const other = saidPlan({ id: 'other', tool: 'exec', args: ['curl', 'evil'] });
  await using server = await ModelServer.open(says(protocol, other));
  await using dir = await tempDir();
  const { planners } = plannersOf([planner(protocol, server, keyFile(dir.path))]);
  for (const { intent, files, complaint, name } of planningCases) {
    const imageTools = ['npm', 'node', 'curl'];
    const request = await wordsFor(intent, files, { planner: protocol.kind, imageTools });
    const { plan } = await planners.plan(request, { signal: new AbortController().signal });
    expect(complaint(plan), name).toBeTypeOf('string');
  }
});
