import type { Hint } from '#contract/hints.ts';
import type { Plan, PlanTask } from '#contract/plan.ts';
import type { RunRow, RunView, TaskView } from '#contract/run.ts';
import { tasksOnRecord } from './prune/plan-left.ts';
import { erasedWords, missingWords, type Vault } from '../audit/vault/vault.ts';
import type { RunFacts, TaskFacts } from './state.ts';
import { triedShown } from './plan-words.ts';
import { withWords } from './words.ts';

type PlannedTask = Pick<PlanTask, 'id' | 'title' | 'tool' | 'deps'>;

const untouched = { state: 'waiting', attempt: 0, artifacts: [] } as const satisfies TaskFacts;

/** What the vault has of a run: what was asked for, and whom a record means by a name. */
export type Personal = { intent: string; nameOf: (name: string) => string };

export async function personalOf(
  vault: Pick<Vault, 'words' | 'nameOf'>,
  { intent }: Pick<RunFacts, 'intent'>,
): Promise<Personal> {
  return { intent: await vault.words(intent), nameOf: (name) => vault.nameOf(name) };
}

/** What the log alone says. */
function onRecord({ intent }: Pick<RunFacts, 'intent'>): Personal {
  return { intent: 'text' in intent ? intent.text : missingWords, nameOf: (name) => name };
}

/**
 * What a reader is shown: every planned task from the start, with what is known of it so far; where
 * the plan is gone, every task that began.
 */
export function viewOf(
  run: RunFacts,
  plan: Plan | undefined,
  hints: ReadonlyMap<string, Hint[]> = new Map(),
  { intent, nameOf }: Personal = onRecord(run),
): RunView {
  const said = intent === erasedWords || intent === missingWords ? '' : intent;
  return {
    id: run.id,
    state: run.state,
    intent,
    workspace: run.workspace,
    snapshot: run.snapshot,
    policy: { name: run.policyName, digest: run.policy },
    plan: run.plan,
    planner: run.planner,
    ...(run.tried === undefined ? {} : { tried: run.tried.map(triedShown) }),
    ...(run.warned === undefined ? {} : { warned: [...run.warned] }),
    ...(run.rehearsed === undefined
      ? {}
      : { rehearsed: run.rehearsed.map(({ binary: _binary, ...one }) => one) }),
    image: run.image,
    submittedBy: nameOf(run.submittedBy),
    submittedAt: run.submittedAt,
    ...(run.continues === undefined
      ? {}
      : { continues: { run: run.continues.run, mode: run.continues.mode } }),
    continuedBy: run.continuedBy,
    paused: run.paused && { ...run.paused, by: nameOf(run.paused.by) },
    closedAt: run.closedAt,
    durationMs: run.durationMs,
    exitCode: run.exitCode,
    reason: run.reason && withWords(run.reason, said),
    reasons: run.reasons.map((reason) => withWords(reason, said)),
    ...(run.revisions.length === 0 ? {} : { revisions: run.revisions.map(withTried) }),
    ...(run.replanRefused.length === 0 ? {} : { replanRefused: run.replanRefused.map(withTried) }),
    tasks: shownTasks(run, plan).map((task) =>
      taskView(task, run.tasks.get(task.id) ?? untouched, hints.get(task.id)),
    ),
    checkpoint: run.checkpoint,
    audit: { ...run.audit },
  };
}

/** Those of the newest plan, and before them what earlier ones had instead. */
function shownTasks(run: RunFacts, plan: Plan | undefined): PlannedTask[] {
  const all = tasksOnRecord(run);
  if (plan === undefined) return all;
  const isThere = new Set(plan.tasks.map(({ id }) => id));
  const before = all.filter(({ id }) => run.tasks.get(id)?.superseded !== undefined);
  return [...before.filter(({ id }) => !isThere.has(id)), ...plan.tasks];
}

function withTried<T extends { tried?: RecordedTried }>({ tried, ...one }: T) {
  return { ...one, ...(tried === undefined ? {} : { tried: tried.map(triedShown) }) };
}

type RecordedTried = NonNullable<RunFacts['tried']> | undefined;

export function rowOf(run: RunFacts, { intent, nameOf }: Personal = onRecord(run)): RunRow {
  const states = [...run.tasks.values()].map((task) => task.state);
  const count = (...wanted: string[]) => states.filter((state) => wanted.includes(state)).length;
  return {
    id: run.id,
    state: run.state,
    intent,
    submittedBy: nameOf(run.submittedBy),
    submittedAt: run.submittedAt,
    durationMs: run.durationMs,
    exitCode: run.exitCode,
    tasks: {
      total: run.taskCount,
      succeeded: count('succeeded', 'cached'),
      cached: count('cached'),
      failed: count('failed', 'timed_out', 'violated'),
    },
  };
}

function taskView(task: PlannedTask, known: TaskFacts, hints: Hint[] | undefined): TaskView {
  const {
    hintIds: _ids,
    hintLines: _lines,
    released: _released,
    used: _used,
    mayHaveBegun: _began,
    ...facts
  } = known;
  return {
    id: task.id,
    title: task.title,
    tool: task.tool,
    deps: [...task.deps],
    outputTruncated: false,
    ...facts,
    ...(hints === undefined || hints.length === 0 ? {} : { hints }),
  };
}
