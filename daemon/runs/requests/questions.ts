import type { PlanTask } from '#contract/plan.ts';
import type { RunsDeps } from '../deps.ts';
import type { AcceptedRun } from '../open-run.ts';
import { refused } from './clear.ts';
import { questionOf } from './shown.ts';
import type { RequestFacts } from './state.ts';

/** Under which name a task finds an answer that is no secret. */
export function answerVariable(question: string): string {
  return `ANSWER_${question}`;
}

/**
 * The task with what people said: answers as variables, and so part of what it is cached by; secret
 * ones among its secrets, in memory only. Asks what nobody answered yet and waits for all of it
 * through `wait`. Rejects like `clear`.
 */
export async function withAnswers(
  deps: Pick<RunsDeps, 'requests'>,
  run: AcceptedRun,
  task: PlanTask,
  { signal, wait }: { signal: AbortSignal; wait: (during: () => Promise<void>) => Promise<void> },
): Promise<PlanTask> {
  const { questions = [], given: before, ...plain } = task;
  if (questions.length === 0) return before === undefined ? task : plain;
  const { requests } = deps;
  const answers = new Map<string, Buffer | string>();
  const missing = () => questions.filter(({ name }) => !answers.has(name));
  const collect = async () => {
    for (const question of missing()) {
      const request = requests.answered(questionOf(run, task, question));
      const value = request === undefined ? undefined : await requests.valueOf(request);
      if (value !== undefined) answers.set(question.name, value);
    }
  };
  await collect();
  while (missing().length > 0) {
    const asked: RequestFacts[] = [];
    for (const question of missing())
      asked.push(await requests.open(questionOf(run, task, question)));
    await wait(async () => {
      for (const request of asked) await requests.settled(request, signal);
    });
    signal.throwIfAborted();
    const no = asked.find(({ state }) => state === 'denied' || state === 'expired');
    if (no !== undefined) throw refused(task.id, no);
    await collect();
  }
  return given(run, plain, questions, answers);
}

function given(
  run: AcceptedRun,
  task: Omit<PlanTask, 'questions' | 'given'>,
  questions: NonNullable<PlanTask['questions']>,
  answers: ReadonlyMap<string, Buffer | string>,
): PlanTask {
  const env = { ...task.env };
  const secret: { name: string; value: Uint8Array }[] = [];
  for (const { name, kind } of questions) {
    const value = answers.get(name) ?? '';
    if (kind === 'secret') secret.push({ name, value: Buffer.from(value) });
    else env[answerVariable(name)] = value.toString();
  }
  // From here on whatever any task of the run writes is searched for them.
  if (secret.length > 0) run.secrets = run.secrets.with(secret);
  return {
    ...task,
    env,
    secrets: [...task.secrets, ...secret.map(({ name }) => name)].toSorted(),
    given: questions.map(({ name, kind }) => (kind === 'secret' ? name : answerVariable(name))),
  };
}
