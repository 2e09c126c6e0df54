import { exitCodes } from '#contract/errors.ts';
import type { PruneAnswer, PrunedKind, PruneStore } from '#contract/prune.ts';
import { formatSize } from '#contract/units.ts';
import type { Client } from '../client/client.ts';
import type { Command } from '../context.ts';
import { countOption, flagOption } from '../options.ts';
import { canAsk, confirm } from '../terminal/ask.ts';
import { safe } from '../terminal/clean.ts';
import { table } from '../terminal/text.ts';

/** A store of many runs is read to its end before the daemon can answer. */
const timeoutMs = 60 * 60_000;
const namedMax = 10;

const words: Readonly<Record<PrunedKind, [one: string, many: string]>> = {
  flat: ['joined tree', 'joined trees'],
  snapshots: ['snapshot', 'snapshots'],
  layers: ['layer', 'layers'],
  blobs: ['blob', 'blobs'],
  packages: ['package or cache of packages', 'packages and caches of packages'],
};

/** Says what goes and what the disk gets back, asks where somebody can answer, and has it done. */
export const prune: Command = async (context, _args, options) => {
  const { print } = context;
  const dryRun = flagOption(options, 'dryRun');
  const keepDays = countOption(options, 'keepDays', { min: 0, max: 36_500 });
  const keepRuns = countOption(options, 'allBut', { min: 0, max: 1_000_000 });
  const rule = {
    ...(keepDays === undefined ? {} : { keepDays }),
    ...(keepRuns === undefined ? {} : { keepRuns }),
  };
  const client = await context.client();
  if (!dryRun && !flagOption(options, 'yes') && canAsk(context)) {
    const wouldGo = await ask(client, { ...rule, dryRun: true });
    for (const line of linesOf(wouldGo)) print.line(line);
    if (isNothing(wouldGo)) return exitCodes.ok;
    if (!(await confirm(context, 'Remove it?'))) return exitCodes.denied;
  }
  const answer = await ask(client, { ...rule, dryRun });
  if (print.json) print.object(answer);
  else for (const line of linesOf(answer)) print.line(line);
  return exitCodes.ok;
};

async function ask(client: Client, body: PruneStore): Promise<PruneAnswer> {
  return client.call('storePrune', { body, timeoutMs });
}

function isNothing({ removed, dropped }: PruneAnswer): boolean {
  return removed.length === 0 && dropped === 0;
}

function linesOf(answer: PruneAnswer): string[] {
  const { dryRun, removed, runs, dropped, kept, bytes } = answer;
  const all = `${kept} ${kept === 1 ? 'run is' : 'runs are'} kept`;
  if (isNothing(answer)) return [`nothing to remove; ${all}`];
  const rows = removed.map(({ what, entries, bytes: freed }) => [
    `${entries} ${words[what][entries === 1 ? 0 : 1]}`,
    formatSize(freed),
  ]);
  const named = runs.slice(0, namedMax).map(({ id, why }) => {
    return why === 'budget' ? `${safe(id)} (disk budget)` : safe(id);
  });
  const more = dropped > named.length ? `, and ${dropped - named.length} more` : '';
  const what = dryRun ? 'would be' : dropped === 1 ? 'is' : 'are';
  return [
    ...table(rows),
    ...(dropped === 0
      ? []
      : [
          `${dropped} ${dropped === 1 ? 'run' : 'runs'} ${what} pruned: ${named.join(', ')}${more}`,
        ]),
    ...(removed.length > 0 ? [] : ['what was used within the last minutes goes another time']),
    `${formatSize(bytes)} ${dryRun ? 'would be free' : 'are free'}; ${all}`,
  ];
}
