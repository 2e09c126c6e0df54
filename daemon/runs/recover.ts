import type { Plan } from '#contract/plan.ts';
import type { RunsDeps } from './deps.ts';
import { oursMax } from './failures/retry.ts';
import { dropLeftOutput, keepLeftOutput } from './left-output.ts';
import { isUnderWay, type TaskFacts } from './state.ts';
import { failpoint } from '../base/failpoints.ts';

const nothingKnown = {
  duration_ms: 0,
  cpu_ms: 0,
  memory_peak_bytes: 0,
  output_truncated: false,
} as const;

/**
 * A run that a dead daemon left before it was accepted cannot go on: what was asked for, a plan file
 * or a command, is not kept anywhere. Whoever submitted it has it still.
 */
export async function closeUnaccepted(deps: RunsDeps, id: string): Promise<void> {
  await finishLeftTasks(deps, id, 'the daemon ended before the task did');
  await deps.log.append({
    type: 'run.closed',
    run: id,
    outcome: 'unknown',
    sev: 'warn',
    data: {
      outcome: 'unknown',
      artifacts: artifactsOf(deps, id),
      duration_ms: 0,
      exit_code: 2,
      reason: 'the daemon ended before the run was accepted; submit it again',
    },
  });
}

/** No run is closed with a task that looks as if it were still running. */
export async function finishLeftTasks(deps: RunsDeps, id: string, reason: string): Promise<void> {
  for (const [task, facts] of deps.states.find(id)?.tasks ?? []) {
    if (!isUnderWay(facts)) continue;
    const { attempt } = facts;
    const output = await keepLeftOutput(deps, id, task);
    await deps.log.append({
      type: 'task.finished',
      run: id,
      obj: { task },
      outcome: 'unknown',
      data: { attempt, outcome: 'unknown', reason, ...nothingKnown, ...output },
    });
    await dropLeftOutput(deps, id, task);
  }
}

/**
 * Ends the attempts that a dead daemon left running and that nobody has taken over: their sandboxes
 * are gone, and what they did went with their layers. The tasks go on with another attempt. Answers
 * how many there were.
 */
export async function finishLost(
  deps: RunsDeps,
  id: string,
  plan: Pick<Plan, 'tasks'>,
  taken: { has(task: string): boolean },
): Promise<number> {
  const facts = deps.states.find(id);
  let lost = 0;
  for (const { id: task, sideEffects } of plan.tasks) {
    const known = facts?.tasks.get(task);
    if (known === undefined || !isUnderWay(known) || taken.has(task)) continue;
    const { attempt } = known;
    lost += 1;
    const about = { run: id, obj: { task }, outcome: 'unknown', sev: 'notice' } as const;
    const said = { attempt, ...nothingKnown, ...(await keepLeftOutput(deps, id, task)) };
    const mayNot = whyNotAgain(known, sideEffects === true);
    await deps.log.append(
      mayNot === undefined
        ? { ...about, type: 'attempt.ended', data: { ...said, outcome: 'lost', reason: wasLost } }
        : {
            ...about,
            type: 'task.finished',
            data: { ...said, outcome: 'unknown', reason: `${wasLost}; ${mayNot}` },
          },
    );
    failpoint('after-attempt-lost');
    await dropLeftOutput(deps, id, task);
  }
  return lost;
}

const wasLost = 'the daemon ended before the attempt did';

/** What never began is tried more often than what was lost at work, but not for ever. */
const attemptsMax = 24;

/** Nobody asked anybody whether it may run once more. */
function whyNotAgain(
  { used, attempts = [], mayHaveBegun }: TaskFacts,
  hasEffects: boolean,
): string | undefined {
  if (hasEffects && mayHaveBegun === true)
    return 'it may have had effects: orchestra resume RUN --again';
  const ours = used?.ours ?? 0;
  if (mayHaveBegun === true && ours >= oursMax) return `that was so ${ours + 1} times`;
  const count = attempts.length + 1;
  return count >= attemptsMax ? `that was attempt ${count}` : undefined;
}

export function artifactsOf(deps: RunsDeps, id: string): number {
  return [...(deps.states.find(id)?.tasks.values() ?? [])].flatMap((task) => task.artifacts).length;
}
