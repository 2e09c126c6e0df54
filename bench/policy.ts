/**
 * What policies cost: loading a document of 10,000 lines, and judging a task by 1,000 rules, against
 * the same conditions as functions of JavaScript. Prints a table and keeps the raw samples.
 * Usage: node bench/policy.ts [--rules N] [--rounds N] [--lines N]
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { openPolicyBook } from '#daemon/policy/book.ts';
import { readPolicy } from '#daemon/policy/document.ts';
import { assertInvariants } from '#daemon/policy/invariants/check.ts';
import { openJudge } from '#daemon/policy/judge.ts';
import type { PolicyInput } from '#daemon/policy/judgement.ts';
import { narrow } from '#daemon/policy/narrow.ts';
import { MemoryLog } from '#test/support/memory-log.ts';
import { policyInput } from '#test/support/policy-input.ts';

const { values } = parseArgs({
  options: {
    rules: { type: 'string', default: '1000' },
    rounds: { type: 'string', default: '2000' },
    lines: { type: 'string', default: '10000' },
  },
});
const policiesDir = new URL('../policies', import.meta.url).pathname;
const shipped = await readFile(join(policiesDir, 'default.yaml'), 'utf8');

/** Conditions as people write them, none of which holds, so that every one is looked at to its end. */
type Kind = { cel(i: number): string; js(i: number): (input: PolicyInput) => boolean };
const kinds: readonly Kind[] = [
  {
    cel: (i) => `task.tool == "tool-${i}" && actor.uid != 0`,
    js: (i) => (input) => input.task.tool === `tool-${i}` && input.actor.uid !== 0,
  },
  {
    cel: (i) => `task.args.exists(a, a == "argument-${i}")`,
    js: (i) => (input) => input.task.args.includes(`argument-${i}`),
  },
  {
    cel: (i) => `"role-${i}" in actor.roles || task.limits.pids > ${1_000_000 + i}`,
    js: (i) => (input) =>
      input.actor.roles.includes(`role-${i}`) || input.task.limits.pids > 1_000_000 + i,
  },
  {
    cel: (i) => `task.id.matches("^release-${i}-[a-z]+$")`,
    js: (i) => (input) => new RegExp(`^release-${i}-[a-z]+$`).test(input.task.id),
  },
];
const kindOf = (i: number): Kind => kinds[i % kinds.length] ?? kindOf(0);

function documentOf(rules: number): string {
  const lines = Array.from({ length: rules }, (_, i) =>
    [
      `  - id: rule-${i}`,
      `    when: ${JSON.stringify(kindOf(i).cel(i))}`,
      `    effect: ${['deny', 'ask', 'allow'][i % 3]}`,
      `    reason: number ${i}`,
    ].join('\n'),
  );
  const all = `  - { id: all, when: 'true', effect: allow, reason: the rest }`;
  return `${shipped}\nrules:\n${lines.join('\n')}\n${all}\n`;
}

const round = (value: number) => Math.round(value * 1000) / 1000;
const quantile = (samples: readonly number[], q: number): number =>
  samples.toSorted((a, b) => a - b)[Math.floor(q * (samples.length - 1))] ?? 0;

function timed(times: number, act: () => unknown): number[] {
  for (let i = 0; i < Math.min(200, times); i += 1) act();
  return Array.from({ length: times }, () => {
    const begun = performance.now();
    act();
    return performance.now() - begun;
  });
}

const count = Number(values.rules);
const rounds = Number(values.rounds);
const { policy } = readPolicy(documentOf(count), 'default.yaml');
const { policy: under } = narrow(readPolicy(shipped, 'default.yaml').policy, policy);
const input = policyInput({ task: { args: ['run', 'build', '--', '--prod', '-v'] } });
const judge = openJudge();
const judged = timed(rounds, () => judge.judge(under, input));
const predicates = Array.from({ length: count }, (_, i) => kindOf(i).js(i));
const plain = timed(rounds, () => predicates.map((holds) => holds(input)));
if (judge.judge(under, input).effect !== 'allow') throw new Error('a rule holds that should not');

const text = documentOf(Math.floor((Number(values.lines) - shipped.split('\n').length) / 4));
const loads = timed(5, () => readPolicy(text, 'default.yaml'));
const dir = await mkdtemp(join(tmpdir(), 'orchestra-bench-policy-'));
const starts: number[] = [];
try {
  const invariant = `invariants:
  - { id: no-make, statement: nothing is made, never: 'effect != "deny" && task.tool == "make"' }
`;
  await writeFile(join(dir, 'site.yaml'), text.replace('name: default', 'name: site') + invariant);
  for (let i = 0; i < 3; i += 1) {
    const begun = performance.now();
    await openPolicyBook({
      log: new MemoryLog(),
      directories: [policiesDir, dir],
      ceiling: 'site',
      standard: 'default',
      check: (documents, judging) => assertInvariants(judging, documents),
    });
    starts.push(performance.now() - begun);
  }
} finally {
  await rm(dir, { recursive: true, force: true });
}
console.table({
  [`${count} rules, one task, p50 ms`]: round(quantile(judged, 0.5)),
  [`${count} rules, one task, p99 ms`]: round(quantile(judged, 0.99)),
  'the same as functions of JavaScript, p50 ms': round(quantile(plain, 0.5)),
  ratio: round(quantile(judged, 0.5) / quantile(plain, 0.5)),
  [`${text.split('\n').length} lines read and checked, p50 ms`]: round(quantile(loads, 0.5)),
  'all documents of a start with an invariant, p50 ms': round(quantile(starts, 0.5)),
});
const folder = join(import.meta.dirname, 'results');
await mkdir(folder, { recursive: true });
const machine = { cpus: cpus().length, load: loadavg(), node: process.version };
const result = { at: new Date().toISOString(), machine, judged, plain, loads, starts };
await writeFile(join(folder, 'policy.json'), `${JSON.stringify(result)}\n`);
