/**
 * What a change of a plan of 1,000 tasks costs apart from whoever thinks it up: merging, validating
 * the whole, the envelope and the digest; and the same for a plan of which most is done. Beside it
 * the validation alone, as of any plan. Raw samples go to `bench/results/replan.json`.
 * `node bench/replan.ts [--rounds 15]`
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import type { DraftTask } from '#contract/plan.ts';
import { digestOf } from '#daemon/base/canonical.ts';
import { draftOf } from '#daemon/planner/replan/draft-of.ts';
import { envelopeOf, widenings } from '#daemon/planner/replan/envelope.ts';
import { merge } from '#daemon/planner/replan/merge.ts';
import { validateDraft } from '#daemon/planner/validate.ts';
import { Ancestry } from '#daemon/scheduler/ancestry.ts';
import { topological } from '#daemon/scheduler/graph.ts';
import { shippedPolicy, testImage, testImageTools } from '#test/support/policies.ts';

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '15' } } });
const shipped = shippedPolicy('default');
const policy = { ...shipped, run: { ...shipped.run, tasks: 10_000 } };
const context = { planner: 'rules', policy, image: testImage, imageTools: testImageTools };

const drafts = Array.from({ length: 1000 }, (_, i) => task(`t${i}`, i));
const first = validateDraft({ version: 1, assumptions: [], tasks: drafts }, context);
if (!first.ok) throw new Error(JSON.stringify(first.findings.slice(0, 3)));
const { plan } = first;

const samples = {
  delta_early_ms: measure(() => delta(10)),
  delta_late_ms: measure(() => delta(900)),
  validate_ms: measure(() => {
    validateDraft({ version: 1, assumptions: [], tasks: drafts }, context);
  }),
};
const medians = Object.fromEntries(
  Object.entries(samples).map(([name, all]) => [
    name,
    all.toSorted((a, b) => a - b)[all.length >> 1],
  ]),
);
console.log(medians);
await mkdir('bench/results', { recursive: true });
await writeFile(
  'bench/results/replan.json',
  `${JSON.stringify({ at: new Date().toISOString(), machine: { cpus: cpus().length, load: loadavg() }, medians, samples }, null, 2)}\n`,
);

/** Task number `failed` failed, all before it is done. */
function delta(failed: number): void {
  const id = `t${failed}`;
  const at = (name: string) => Number(name.slice(1));
  const standing = {
    tasks: plan.tasks,
    failed: id,
    revision: 2,
    isFrozen: (name: string) => at(name) <= failed,
    isClosed: (name: string) => name === id,
    isTaken: (name: string) => at(name) < 1000,
  };
  const merged = merge(standing, [
    { op: 'add', task: task('extra', 3) },
    { op: 'replace', id, task: { ...task('instead', failed), deps: ['extra'] } },
    { op: 'set_deps', id: `t${failed + 40}`, deps: ['extra'] },
  ]);
  if (!merged.ok) throw new Error(JSON.stringify(merged.findings));
  const tasks = merged.tasks.map((one) => ('draft' in one ? one.draft : draftOf(one.kept)));
  const valid = validateDraft({ version: 1, assumptions: [], tasks }, context);
  if (!valid.ok) throw new Error(JSON.stringify(valid.findings));
  const whole = {
    ...plan,
    tasks: merged.tasks.map((one, i) =>
      'kept' in one ? one.kept : (valid.plan.tasks[i] ?? plan.tasks[0]!),
    ),
  };
  const comes = whole.tasks.filter((_, i) => 'draft' in (merged.tasks[i] ?? {}));
  if (widenings(envelopeOf(plan), whole, comes).length > 0) throw new Error('wider');
  digestOf(whole);
  if (new Ancestry(topological(whole.tasks)).of('t999').length === 0) throw new Error('lost');
}

function task(id: string, i: number): DraftTask {
  return {
    id,
    title: id,
    why: '',
    tool: 'npm',
    args: ['run', `script-${id}`],
    env: [],
    cwd: '.',
    deps: [1, 7, 31]
      .map((back) => i - back)
      .filter((n) => n >= 0)
      .map((n) => `t${n}`),
    outputs: [],
    inputs: [],
    sideEffects: false,
    locks: [],
    limits: {},
    secrets: [],
    questions: [],
    onFailure: 'stop',
  };
}

function measure(work: () => void): number[] {
  for (let i = 0; i < 3; i += 1) work();
  return Array.from({ length: Number(values.rounds) }, () => {
    const since = performance.now();
    work();
    return performance.now() - since;
  });
}
