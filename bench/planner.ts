/**
 * What the rules cost: the profile and the plan of a monorepo of 50,000 files, and the validation of
 * a plan of 10,000 tasks, beside what a plain walk over the same names and a plain `JSON.parse` of the
 * same plan take. Raw samples go to `bench/results/planner.json`. `node bench/planner.ts [--rounds 15]`
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { planByRules } from '#daemon/planner/plan-by-rules.ts';
import { makeProfile, type ProfileEntry } from '#daemon/planner/profile.ts';
import { validateDraft } from '#daemon/planner/validate.ts';
import { lock, nodeImage, pkg } from '#test/corpus/workspaces/kind.ts';
import { shippedPolicy, testImage } from '#test/support/policies.ts';

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '15' } } });
const rounds = Number(values.rounds);
const shipped = shippedPolicy('default');
const policy = { ...shipped, run: { ...shipped.run, tasks: 10_000 } };

const texts = new Map([
  [
    'package.json',
    pkg(
      { build: 'turbo run build', lint: 'turbo run lint', test: 'turbo run test' },
      { workspaces: ['packages/*'] },
    ),
  ],
  ['package-lock.json', lock],
]);
const entries: ProfileEntry[] = [...texts].map(([path, text]) => entry(path, text.length));
for (let i = 0; entries.length < 50_000; i += 1) {
  const folder = `packages/package-${i}`;
  entries.push(entry(`${folder}/package.json`, 900));
  for (let j = 0; j < 99; j += 1) entries.push(entry(`${folder}/src/module-${j}.ts`, 2000));
}
const plan = JSON.stringify({
  version: 1,
  assumptions: [],
  tasks: Array.from({ length: 10_000 }, (_, i) => task(i)),
});

const samples = {
  rules_ms: await measure(async () => {
    const profile = await makeProfile(entries, (path) =>
      Promise.resolve(Buffer.from(texts.get(path) ?? '{}')),
    );
    const intent = 'Build, lint and test';
    const made = planByRules({ intent, profile, policy, image: testImage, imageTools: nodeImage });
    if (made.tasks.length !== 4) throw new Error('not the plan that was meant');
  }),
  walk_ms: await measure(() => {
    let found = 0;
    for (const { path } of entries) if (path.endsWith('/package.json')) found += 1;
    return Promise.resolve(found);
  }),
  validate_ms: await measure(() => {
    const context = { planner: 'bench', policy, image: testImage, imageTools: nodeImage };
    const answer = validateDraft(JSON.parse(plan), context);
    if (!answer.ok) throw new Error(JSON.stringify(answer.findings.slice(0, 3)));
    return Promise.resolve(answer.digest);
  }),
  parse_ms: await measure(() => Promise.resolve(JSON.parse(plan))),
};

const medians = Object.fromEntries(
  Object.entries(samples).map(([name, all]) => [name, median(all)]),
);
console.log(`rules, 50,000 files       ${medians['rules_ms']} ms   (300)`);
console.log(`validation, 10,000 tasks  ${medians['validate_ms']} ms   (300)`);
console.log(`a walk over the names     ${medians['walk_ms']} ms`);
console.log(`JSON.parse of the plan    ${medians['parse_ms']} ms, ${plan.length} bytes`);
await mkdir('bench/results', { recursive: true });
const machine = { cpus: cpus().length, load: loadavg(), node: process.version };
await writeFile(
  'bench/results/planner.json',
  `${JSON.stringify({ at: new Date().toISOString(), machine, medians, samples }, undefined, 2)}\n`,
);

function entry(path: string, size: number): ProfileEntry {
  return { path, type: 'file', size };
}

function task(i: number): object {
  return {
    id: `task-${i}`,
    title: `Task ${i}`,
    why: 'one of many',
    tool: 'npm',
    args: ['run', `script-${i}`],
    env: [{ name: 'CI', value: '1' }],
    cwd: '.',
    deps: [i - 1, i - 7, i - 100].filter((each) => each >= 0).map((each) => `task-${each}`),
    outputs: [],
    limits: { timeout: '5m' },
    onFailure: 'stop',
  };
}

async function measure(act: () => Promise<unknown>): Promise<number[]> {
  const all: number[] = [];
  for (let i = 0; i < rounds; i += 1) {
    const from = performance.now();
    await act();
    all.push(Math.round((performance.now() - from) * 100) / 100);
  }
  return all;
}

function median(all: readonly number[]): number {
  return all.toSorted((a, b) => a - b)[all.length >> 1] ?? Number.NaN;
}
