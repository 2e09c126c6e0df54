import { formatDuration } from '#contract/units.ts';
import type { Command } from '../context.ts';
import { countOption, textOption } from '../options.ts';
import { runWords } from '../run-words.ts';
import { table } from '../terminal/text.ts';

export const runs: Command = async ({ print, client }, _args, options) => {
  const limit = countOption(options, 'limit', { min: 1, max: 500 }) ?? 20;
  const daemon = await client();
  const page = await daemon.call('runList', {
    query: { limit, state: textOption(options, 'state') },
  });
  if (print.json) {
    print.object(page);
    return 0;
  }
  if (page.items.length === 0) print.note('no runs; start one: orchestra run "Build and test"');
  const rows = page.items.map((run) => [
    run.id,
    `${runWords[run.state].icon} ${runWords[run.state].word}`,
    `${run.tasks.succeeded}/${run.tasks.total}`,
    run.durationMs === undefined ? '' : formatDuration(run.durationMs),
    run.submittedAt.replace(/\.\d+Z$/, 'Z'),
    run.submittedBy,
    run.intent,
  ]);
  for (const line of table([
    ['RUN', 'STATE', 'OK', 'TOOK', 'SUBMITTED', 'BY', 'INTENT'],
    ...rows,
  ])) {
    print.line(line);
  }
  if (page.next_cursor !== undefined) print.note('there are more: --limit, --state');
  return 0;
};
