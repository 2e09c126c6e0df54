import { formatDuration } from '#contract/units.ts';
import type { Context } from '../context.ts';
import { taskWords } from '../run-words.ts';
import { safe } from '../terminal/clean.ts';
import { canRedraw } from '../terminal/streams.ts';
import { Activity } from './activity.ts';
import { LiveTree } from './live-tree.ts';
import type { Show } from './show.ts';

export type OutputForm = 'tree' | 'plain' | 'json' | 'quiet';
export const outputForms: readonly OutputForm[] = ['tree', 'plain', 'json', 'quiet'];

/** How a run is shown while it goes: on stderr, because stdout is for the result. */
export function showLive(context: Context, asked: OutputForm | undefined): Show {
  const form = chooseForm(context, asked);
  if (form === 'tree') return new LiveTree(context.io.stderr, context.print.err);
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

/** One line for each change of a task's state. */
function plainLines({ print }: Context): Show {
  const seen = new Map<string, string>();
  const activity = new Activity();
  return {
    view: (view) => {
      for (const task of view.tasks) {
        const before = seen.get(task.id) ?? 'waiting';
        const now = task.state;
        if (before === now) continue;
        seen.set(task.id, now);
        const { icon, word, style } = taskWords[task.state];
        const took = task.durationMs === undefined ? '' : `  ${formatDuration(task.durationMs)}`;
        const why = task.reason === undefined ? '' : `  ${safe(task.reason)}`;
        print.note(`${print.err[style](`${icon} ${word}`)}  ${safe(task.id)}${took}${why}`);
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
