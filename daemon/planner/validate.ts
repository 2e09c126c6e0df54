import type { Digest } from '#contract/ids.ts';
import { PlanDraft, planBytesMax, type Finding, type Plan } from '#contract/plan.ts';
import type { EffectivePolicy } from '../policy/effective.ts';
import { digestOf } from '../base/canonical.ts';
import { explainIssues, nearest, quoted } from '../base/schema-issues.ts';
import { checkTask } from './check-task.ts';
import { derivePlan } from './derive.ts';
import { topologicalOrder } from './graph.ts';
import { findHostile } from './hostile.ts';
import { findOverlaps } from './overlaps.ts';
import { findQuestionTroubles } from './questions.ts';

export type ValidateContext = {
  /** Who made the draft: `rules`, `file`, `exec`. */
  planner: string;
  policy: EffectivePolicy;
  image: { reference: string; id: Digest };
  /** The programs that the image offers. */
  imageTools: readonly string[];
};

export type Validated =
  { ok: true; plan: Plan; digest: Digest; clamped: string[] } | { ok: false; findings: Finding[] };

const findingsMax = 100;
const edgesMax = 100_000;

/** As `validateDraft`, from JSON text. */
export function validateText(text: string, context: ValidateContext): Validated {
  if (text.length > planBytesMax || Buffer.byteLength(text) > planBytesMax) {
    return refuse([{ code: 'too_large', message: `larger than ${planBytesMax} bytes` }]);
  }
  let draft: unknown;
  try {
    draft = JSON.parse(text);
  } catch {
    return refuse([{ code: 'not_json', message: 'not JSON' }]);
  }
  return validateDraft(draft, context);
}

/**
 * A draft of any origin → the plan that will run, or everything that is wrong with it. Never
 * throws. A step that the later ones build on ends the search: shape, then the graph.
 */
export function validateDraft(input: unknown, context: ValidateContext): Validated {
  const hostile = findHostile(input);
  if (hostile.length > 0) return refuse(hostile);
  const parsed = PlanDraft.safeParse(input);
  if (!parsed.success) {
    return refuse(
      explainIssues(parsed.error, PlanDraft, input).map((issue) => ({
        code: 'schema',
        pointer: pointerTo(issue.atKey === undefined ? issue.path : [...issue.path, issue.atKey]),
        message: issue.message,
        ...(issue.hint === undefined ? {} : { hint: issue.hint }),
      })),
    );
  }
  const draft = parsed.data;
  const findings = [
    ...findCounts(draft, context.policy),
    ...findGraph(draft),
    ...findQuestionTroubles(draft),
  ];
  for (const [i, task] of draft.tasks.entries()) {
    findings.push(...checkTask(task, `/tasks/${i}`, context));
    if (findings.length > findingsMax) break;
  }
  // Only a sound graph has an order, and only an order says which outputs may meet.
  if (!findings.some((finding) => graphCodes.includes(finding.code))) {
    findings.push(...findOrderTroubles(draft));
  }
  if (findings.length > 0) return refuse(findings);
  const { plan, clamped } = derivePlan(draft, context);
  try {
    return { ok: true, plan, digest: digestOf(plan), clamped };
  } catch {
    return refuse([{ code: 'schema', message: 'holds text that is not well-formed Unicode' }]);
  }
}

const graphCodes: readonly Finding['code'][] = ['duplicate_id', 'unknown_dependency', 'too_many'];

function refuse(findings: Finding[]): Validated {
  return { ok: false, findings: findings.slice(0, findingsMax) };
}

function findCounts(draft: PlanDraft, policy: EffectivePolicy): Finding[] {
  const findings: Finding[] = [];
  const tasks = draft.tasks.length;
  if (tasks > policy.run.tasks) {
    const message = `${tasks} tasks are more than policy ${policy.name} allows, ${policy.run.tasks}`;
    findings.push({ code: 'too_many', pointer: '/tasks', message });
  }
  const edges = draft.tasks.reduce((sum, task) => sum + task.deps.length, 0);
  if (edges > edgesMax) {
    const message = `${edges} dependencies are more than ${edgesMax}`;
    findings.push({ code: 'too_many', pointer: '/tasks', message });
  }
  return findings;
}

function findGraph(draft: PlanDraft): Finding[] {
  const findings: Finding[] = [];
  const first = new Map<string, number>();
  for (const [i, { id }] of draft.tasks.entries()) {
    const earlier = first.get(id);
    if (earlier === undefined) {
      first.set(id, i);
      continue;
    }
    const message = `two tasks are called ${id}, the first is number ${earlier + 1}`;
    findings.push({ code: 'duplicate_id', task: id, pointer: `/tasks/${i}/id`, message });
  }
  const ids = [...first.keys()];
  for (const [i, task] of draft.tasks.entries()) {
    for (const [j, dep] of task.deps.entries()) {
      if (first.has(dep)) continue;
      if (findings.length > findingsMax) return findings;
      const near = nearest(dep, ids.slice(0, 1000));
      findings.push({
        code: 'unknown_dependency',
        task: task.id,
        pointer: `/tasks/${i}/deps/${j}`,
        message: `${task.id} depends on ${quoted(dep)}, which is not a task`,
        ...(near === undefined ? {} : { hint: `did you mean ${near}?` }),
      });
    }
  }
  return findings;
}

function findOrderTroubles(draft: PlanDraft): Finding[] {
  const sorted = topologicalOrder(draft.tasks);
  if ('cycle' in sorted) {
    const at = draft.tasks.findIndex((task) => task.id === sorted.cycle[0]);
    const message = `tasks wait for each other: ${arrows(sorted.cycle)}`;
    return [{ code: 'cycle', pointer: `/tasks/${at}/deps`, message }];
  }
  const at = new Map(draft.tasks.map((task, i) => [task.id, i]));
  return findOverlaps(draft.tasks, sorted.order).map(({ a, b, path }) => ({
    code: 'output_overlap',
    task: b,
    pointer: `/tasks/${at.get(b) ?? 0}/outputs`,
    message: `${a} and ${b} both make ${path} and neither waits for the other`,
    hint: `let one depend on the other, or give them different paths`,
  }));
}

function arrows(cycle: readonly string[]): string {
  if (cycle.length <= 12) return cycle.join(' → ');
  return [...cycle.slice(0, 6), `… ${cycle.length - 11} more`, ...cycle.slice(-5)].join(' → ');
}

function pointerTo(path: readonly (string | number)[]): string {
  return path
    .map((part) => `/${String(part).replaceAll('~', '~0').replaceAll('/', '~1')}`)
    .join('');
}
