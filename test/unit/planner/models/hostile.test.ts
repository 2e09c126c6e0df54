import { expect, onTestFinished, test } from 'vitest';
import { modelContext } from '#daemon/planner/models/context.ts';
import { firstTurn } from '#daemon/planner/models/prompt.ts';
import { ModelServer, openai, says } from '#test/support/model-server.ts';
import { hostileAnswers, hostileNames } from '#test/support/planner-injections.ts';
import { keyFile, planner, plannersOf, saidPlan, wordsFor } from '#test/support/planning.ts';
import { tempDir } from '#test/support/temp-dir.ts';

async function serve(...answers: string[]) {
  const server = await ModelServer.open(...answers.map((text) => says(openai, text)));
  const dir = await tempDir();
  onTestFinished(async () => {
    await server[Symbol.asyncDispose]();
    await dir[Symbol.asyncDispose]();
  });
  const { planners } = plannersOf([planner(openai, server, keyFile(dir.path))]);
  return { server, planners };
}

const never = { signal: new AbortController().signal };

test.each(hostileNames.map((name) => [name]))('a name that is %j stays data', async (name) => {
  const file = name.replaceAll('/', '\u2215').replaceAll('\0', '');
  const { profile, survey, policy, image, imageTools } = await wordsFor('build', {
    'package.json': JSON.stringify({
      name,
      description: name,
      scripts: { build: 'tsc', [name]: name },
    }),
    Makefile: `${name}:\n\techo ${name}\n`,
    [file]: name,
    [`${file}/package.json`]: name,
    [`packages/${file}/a.${file}`]: name,
  });
  const facts = { profile, survey: survey(), policy, image, imageTools, baseline: undefined };
  const text = firstTurn(`build ${name}`, modelContext(facts));
  const [intent = '', data = '', ...more] = text.split('\n');
  expect(more).toEqual([]);
  expect(text).not.toMatch(/[^\x20-\x7e\n]|[<>&`]/);
  expect(JSON.parse(intent.replace('INTENT ', ''))).toBe(`build ${name}`);
  const read = JSON.parse(data.replace('DATA ', '')) as {
    allowed: { tools: string[] };
    rules_plan: unknown;
  };
  expect(Object.keys(read)).toEqual(['workspace', 'allowed', 'rules_plan']);
  expect(read.allowed.tools).toEqual(policy.tools);
});

test.each(hostileAnswers)('an answer that wants $name gets nothing', async ({ text }) => {
  const { server, planners } = await serve(text);
  const made = await planners.plan(await wordsFor('build'), never);
  expect(made.plan.planner).toBe('rules');
  expect(made.tried[0]?.code).toMatch(/^(?:invalid|denied)$/);
  expect(server.asked.length).toBe(3);
});

test.each(hostileAnswers)(
  'a repair that still wants $name gets nothing either, and a good one is taken',
  async ({ text }) => {
    const { server, planners } = await serve(text, text, saidPlan({}));
    const made = await planners.plan(await wordsFor('build'), never);
    expect(made.plan.planner).toBe('openai');
    expect(made.plan.tasks.map(({ command }) => command)).toEqual([['npm', 'run', 'build']]);
    // What was wrong went back in quotation, whatever it repeated.
    for (const { body } of server.asked.slice(1)) {
      const turns = body['input'] as { role: string; content: string }[];
      const last = turns.at(-1)?.content ?? '';
      expect(last.split('\n').length).toBeLessThanOrEqual(4);
      expect(last).not.toMatch(/[^\x20-\x7e\n]|[<>&`]/);
    }
  },
);
