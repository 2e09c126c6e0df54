import type { TaskView } from '#contract/run.ts';
import { formatDuration } from '#contract/units.ts';
import type { Context } from '../context.ts';
import { taskWords } from '../run-words.ts';
import { safe } from '../terminal/clean.ts';
import { canRedraw } from '../terminal/streams.ts';
import { Activity } from './activity.ts';
import { LiveTree } from './live-tree.ts';
import type { Show } from './show.ts';
import {
  askWords,
  attemptWords,
  blockedWords,
  comesFrom,
  flakyWords,
  retryWords,
} from './task-words.ts';

export type OutputForm = 'tree' | 'plain' | 'json' | 'quiet';
export const outputForms: readonly OutputForm[] = ['tree', 'plain', 'json', 'quiet'];

/** How a run is shown while it goes: on stderr, because stdout is for the result. */
export function showLive(
  context: Context,
  asked: OutputForm | undefined,
  interrupt?: string,
): Show {
  const form = chooseForm(context, asked);
  if (form === 'tree') return new LiveTree(context.io.stderr, context.print.err, { interrupt });
  if (form === 'plain') return plainLines(context);
  return {
    view: () => undefined,
    record: () => undefined,
    say: (text) => {
      if (form !== 'quiet') context.print.note(text);
    },
    end: () => undefined,
  };
}

function chooseForm(context: Context, asked: OutputForm | undefined): OutputForm {
  if (context.print.json) return 'json';
  if (asked === 'quiet' || context.print.verbosity === 'quiet') return 'quiet';
  const able = canRedraw(context.io.stderr, context.env);
  return (asked ?? 'tree') === 'tree' && able ? 'tree' : 'plain';
}

/** One line for each change of a task's state, and for each attempt. */
function plainLines({ print }: Context): Show {
  const seen = new Map<string, string>();
  const activity = new Activity();
  return {
    view: (view) => {
      for (const task of view.tasks) {
        const now = task.state === 'running' ? `running ${task.attempt}` : task.state;
        if ((seen.get(task.id) ?? 'waiting') === now) continue;
        seen.set(task.id, now);
        const { icon, word, style } = taskWords[task.state];
        const said = [
          print.err[style](`${icon} ${word}`),
          safe(task.id),
          ...changeOf(task, view.id),
        ];
        print.note(said.join('  '));
      }
    },
    record: (record) => {
      const line = activity.see(record);
      if (line !== undefined) print.note(line);
    },
    say: (text) => print.note(text),
    end: () => undefined,
  };
}

/** What there is to say of a task beside its state: how long, from where, how often, why. */
function changeOf(task: TaskView, run: string): string[] {
  const { state, durationMs, reason } = task;
  if (state === 'retry_wait') return [retryWords(task, Date.now())];
  if (state === 'blocked') return [blockedWords(task)];
  if (state === 'approval' || state === 'question') return [askWords(run, task)];
  return [
    durationMs === undefined || state === 'cached' ? undefined : formatDuration(durationMs),
    comesFrom(task),
    flakyWords(task) ?? attemptWords(task),
    reason === undefined ? undefined : safe(reason),
  ].filter((words) => words !== undefined);
}
