import type { Hint } from '#contract/hints.ts';
import type { Plan, PlanTask } from '#contract/plan.ts';
import type { RunRow, RunView, TaskView } from '#contract/run.ts';
import { tasksOnRecord } from './prune/plan-left.ts';
import type { RunFacts, TaskFacts } from './state.ts';

type PlannedTask = Pick<PlanTask, 'id' | 'title' | 'tool' | 'deps'>;

const untouched = { state: 'waiting', attempt: 0, artifacts: [] } as const satisfies TaskFacts;

/**
 * What a reader is shown: every planned task from the start, with what is known of it so far; where
 * the plan is gone, every task that began.
 */
export function viewOf(
  run: RunFacts,
  plan: Plan | undefined,
  hints: ReadonlyMap<string, Hint[]> = new Map(),
): RunView {
  return {
    id: run.id,
    state: run.state,
    intent: run.intent,
    workspace: run.workspace,
    snapshot: run.snapshot,
    policy: { name: run.policyName, digest: run.policy },
    plan: run.plan,
    planner: run.planner,
    image: run.image,
    submittedBy: run.submittedBy,
    submittedAt: run.submittedAt,
    ...(run.continues === undefined
      ? {}
      : { continues: { run: run.continues.run, mode: run.continues.mode } }),
    continuedBy: run.continuedBy,
    paused: run.paused,
    closedAt: run.closedAt,
    durationMs: run.durationMs,
    exitCode: run.exitCode,
    reason: run.reason,
    reasons: run.reasons,
    tasks: (plan?.tasks ?? tasksOnRecord(run)).map((task) =>
      taskView(task, run.tasks.get(task.id) ?? untouched, hints.get(task.id)),
    ),
    checkpoint: run.checkpoint,
    audit: { ...run.audit },
  };
}

export function rowOf(run: RunFacts): RunRow {
  const states = [...run.tasks.values()].map((task) => task.state);
  const count = (...wanted: string[]) => states.filter((state) => wanted.includes(state)).length;
  return {
    id: run.id,
    state: run.state,
    intent: run.intent,
    submittedBy: run.submittedBy,
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
