import type { RunView } from '#contract/run.ts';
import { escapeMarkdown as text } from './markdown.ts';

/** The walls that tasks met, each with what would allow it; what was read from output says so. */
export function wallsMet(run: RunView): string {
  const met = run.tasks.flatMap((task) =>
    (task.hints ?? []).map((hint) => {
      const guess = hint.basis === 'output' ? ' (a guess from what it printed)' : '';
      const said = hint.line === undefined ? '' : `\n  - said: ${text(hint.line)}`;
      return `- **${text(task.id)}** ${text(hint.rule)}: ${text(hint.title)}${guess}${said}\n  - to do: ${text(hint.remedy)}`;
    }),
  );
  return met.length === 0 ? '' : `## Walls\n\n${met.join('\n')}`;
}
