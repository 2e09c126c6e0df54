import type { DraftTask, Finding, PlanTask } from '#contract/plan.ts';
import type { ReplanStep } from '#contract/replan.ts';
import { quoted } from '../../base/schema-issues.ts';
import { draftOf } from './draft-of.ts';
import { specHash } from './fingerprint.ts';
import type { Operation } from './operations.ts';

/** Where a run stands when its plan is changed. */
export type Standing = {
  tasks: readonly PlanTask[];
  /** Why it is changed. */
  failed: string;
  /** It began, ended, or counts from elsewhere: nothing moves it any more. */
  isFrozen(id: string): boolean;
  /** Of those: nothing that waits for it will ever run. */
  isClosed(id: string): boolean;
  /** Some task of the run is or was called so: a name stands for one task for ever. */
  isTaken(id: string): boolean;
  /** Of the plan that comes. */
  revision: number;
};

/** What stays, perhaps waiting for others than before, or what comes. */
export type MergedTask = { kept: PlanTask } | { draft: DraftTask };

export type Merged =
  | { ok: true; tasks: MergedTask[]; superseded: string[]; steps: ReplanStep[] }
  | { ok: false; findings: Finding[] };

/**
 * The plan that operations make of what is left of one, in its shape only: whether it is sound and
 * allowed is judged afterwards, as of any plan. Pure. What is frozen stays as it is, the very same
 * object; the failed task is replaced and never just dropped, and nothing is dropped that the plan
 * was made for.
 */
export function merge(standing: Standing, operations: readonly Operation[]): Merged {
  const findings: Finding[] = [];
  const deny = (task: string, message: string) =>
    void findings.push({ code: 'replan_denied', task: task.slice(0, 48), message });
  const byId = new Map<string, MergedTask>(standing.tasks.map((kept) => [kept.id, { kept }]));
  const renamed = new Map<string, string>();
  const dropped = new Set<string>();
  const steps: ReplanStep[] = [];
  const comes = new Set<string>();

  const freeName = (id: string) => {
    const isFree = (name: string) => !standing.isTaken(name) && !byId.has(name) && !comes.has(name);
    if (isFree(id)) return id;
    for (let n = standing.revision; ; n += 1) {
      const end = `-r${n}`;
      const name = `${id.replace(/-r\d+$/, '').slice(0, 48 - end.length)}${end}`;
      if (isFree(name)) return name;
    }
  };
  const movable = (id: string, op: string) => {
    if (!byId.has(id) || comes.has(id)) deny(id, `there is no task ${quoted(id)} to ${op}`);
    else if (renamed.has(id) || dropped.has(id)) deny(id, `${id} is named by two operations`);
    else if (id !== standing.failed && standing.isFrozen(id)) {
      deny(id, `${id} began or is over: nothing can ${op} it`);
    } else return true;
    return false;
  };

  for (const operation of operations) {
    if (operation.op === 'add') {
      const { task } = operation;
      if (byId.has(task.id) || standing.isTaken(task.id)) {
        deny(task.id, `there is or was a task ${task.id}: choose another id`);
        continue;
      }
      comes.add(task.id);
      byId.set(task.id, { draft: task });
      steps.push({ op: 'add', task: task.id });
    } else if (operation.op === 'replace') {
      const { id } = operation;
      if (!movable(id, 'replace')) continue;
      const name = freeName(operation.task.id);
      comes.add(name);
      renamed.set(id, name);
      byId.set(name, { draft: { ...operation.task, id: name } });
      steps.push({ op: 'replace', task: id, as: name });
    } else if (operation.op === 'drop') {
      const { id } = operation;
      if (!movable(id, 'drop')) continue;
      if (id === standing.failed) {
        deny(id, `${id} failed: another task has to stand in its place, it cannot just be dropped`);
        continue;
      }
      dropped.add(id);
      steps.push({ op: 'drop', task: id });
    } else {
      const { id, deps } = operation;
      if (!movable(id, 'set_deps')) continue;
      if (id === standing.failed) {
        deny(id, `${id} failed: replace it, with what it has to wait for`);
        continue;
      }
      const found = byId.get(id);
      if (found !== undefined && 'kept' in found) byId.set(id, { kept: { ...found.kept, deps } });
      steps.push({ op: 'set_deps', task: id });
    }
  }
  if (!renamed.has(standing.failed)) {
    deny(standing.failed, `${standing.failed} failed and is still there: replace it`);
  }
  findings.push(...findGoals(standing, dropped));
  if (findings.length > 0) return { ok: false, findings: findings.slice(0, 64) };
  return finish(standing, { byId, renamed, dropped, steps });
}

type Shape = {
  byId: Map<string, MergedTask>;
  renamed: ReadonlyMap<string, string>;
  dropped: ReadonlySet<string>;
  steps: ReplanStep[];
};

function finish(standing: Standing, { byId, renamed, dropped, steps }: Shape): Merged {
  for (const id of [...renamed.keys(), ...dropped]) byId.delete(id);
  const aliases = aliasesOf(byId, renamed);
  for (const id of aliases.keys()) byId.delete(id);
  const target = (id: string): string => {
    const next = renamed.get(id) ?? id;
    return aliases.get(next) ?? next;
  };
  const rewired = (deps: readonly string[]) => {
    const left = deps.filter((dep) => !dropped.has(dep)).map(target);
    return [...new Set(left)];
  };
  const findings: Finding[] = [];
  const tasks = [...byId.values()].map((merged): MergedTask => {
    if ('kept' in merged && standing.isFrozen(merged.kept.id)) return merged;
    const own = 'kept' in merged ? merged.kept : merged.draft;
    const deps = rewired(own.deps);
    const closed = deps.find((dep) => standing.isClosed(dep));
    const waitedBefore = standing.tasks.some((one) => one === own);
    if (closed !== undefined && !waitedBefore) {
      const message = `${own.id} would wait for ${closed}, which did not succeed`;
      findings.push({ code: 'replan_denied', task: own.id, message });
    }
    if ('draft' in merged) return { draft: { ...merged.draft, deps } };
    const isSame = deps.length === own.deps.length && deps.every((dep, i) => dep === own.deps[i]);
    const before = standing.tasks.find(({ id }) => id === own.id);
    return isSame && before === own ? merged : { kept: { ...merged.kept, deps } };
  });
  const failed = standing.tasks.find(({ id }) => id === standing.failed);
  const instead = byId.get(target(standing.failed));
  if (failed !== undefined && instead !== undefined && 'draft' in instead) {
    const isSame =
      specHash(instead.draft) === specHash(draftOf(failed)) &&
      sameWords(rewired(instead.draft.deps), failed.deps);
    if (isSame) {
      const message = `what stands in the place of ${failed.id} is what failed`;
      findings.push({ code: 'replan_denied', task: failed.id, message });
    }
  }
  if (findings.length > 0) return { ok: false, findings };
  const told = steps
    .filter(({ op, task }) => op !== 'add' || !aliases.has(task))
    .map((step) => (step.as === undefined ? step : { ...step, as: target(step.as) }));
  return { ok: true, tasks, superseded: [...renamed.keys(), ...dropped], steps: told };
}

/** What comes and is what is there already, waiting for the same: it is not done twice. */
function aliasesOf(
  byId: ReadonlyMap<string, MergedTask>,
  renamed: ReadonlyMap<string, string>,
): Map<string, string> {
  const there = new Map<string, string>();
  const comes: DraftTask[] = [];
  const key = (task: DraftTask) => {
    const deps = task.deps.map((dep) => renamed.get(dep) ?? dep).toSorted();
    return `${specHash(task)} ${deps.join(' ')}`;
  };
  for (const merged of byId.values()) if ('draft' in merged) comes.push(merged.draft);
  // Of thousands that stay only those that could be the same have to be looked at.
  const tools = new Set(comes.map(({ tool, args }) => JSON.stringify([tool, args])));
  for (const merged of byId.values()) {
    if (!('kept' in merged)) continue;
    const { tool, args } = merged.kept;
    if (tools.has(JSON.stringify([tool, args]))) {
      there.set(key(draftOf(merged.kept)), merged.kept.id);
    }
  }
  const aliases = new Map<string, string>();
  for (const draft of comes) {
    const known = there.get(key(draft));
    if (known === undefined) there.set(key(draft), draft.id);
    else aliases.set(draft.id, known);
  }
  return aliases;
}

/** What nothing waits for, and what somebody wants to keep, is what the plan was made for. */
function findGoals({ tasks }: Standing, dropped: ReadonlySet<string>): Finding[] {
  if (dropped.size === 0) return [];
  const waitedFor = new Set(tasks.flatMap(({ deps }) => deps));
  return tasks
    .filter(({ id, outputs }) => {
      const isGoal = !waitedFor.has(id) || outputs.some(({ required }) => required);
      return isGoal && dropped.has(id);
    })
    .map(({ id }) => ({
      code: 'replan_denied',
      task: id,
      message: `${id} is what the plan was made for: it cannot be dropped, only replaced`,
    }));
}

function sameWords(a: readonly string[], b: readonly string[]): boolean {
  return a.toSorted().join('\n') === b.toSorted().join('\n');
}
