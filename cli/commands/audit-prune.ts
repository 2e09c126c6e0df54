import { exitCodes, OrchestraError } from '#contract/errors.ts';
import type { LogPruneAnswer } from '#contract/retention.ts';
import { formatSize } from '#contract/units.ts';
import type { Command } from '../context.ts';
import { flagOption, parseCount, textOption } from '../options.ts';
import { canAsk, confirm } from '../terminal/ask.ts';
import { safe } from '../terminal/clean.ts';

/** A long log is read to where it stays before the daemon can answer. */
const timeoutMs = 60 * 60_000;

/** Says which records go, asks where somebody can answer, and has them let go. Never without a yes. */
export const auditPrune: Command = async (context, _args, options) => {
  const { print } = context;
  const dryRun = flagOption(options, 'dryRun');
  const keepDays = daysOption(textOption(options, 'keep'));
  const rule = keepDays === undefined ? {} : { keepDays };
  const client = await context.client();
  const ask = (body: { dryRun: boolean; keepDays?: number }) =>
    client.call('auditPrune', { body, timeoutMs });
  if (!dryRun && !flagOption(options, 'yes')) {
    const wouldGo = await ask({ ...rule, dryRun: true });
    if (wouldGo.segments === 0) {
      if (print.json) print.object(wouldGo);
      else for (const line of linesOf(wouldGo)) print.line(line);
      return exitCodes.ok;
    }
    if (!canAsk(context)) {
      throw new OrchestraError('usage.invalid', 'Records go for good: say --yes', {
        hint: 'orchestra audit prune --dry-run   shows which',
      });
    }
    for (const line of linesOf(wouldGo)) print.line(line);
    if (!(await confirm(context, 'Let them go for good?'))) return exitCodes.denied;
  }
  const answer = await ask({ ...rule, dryRun });
  if (print.json) print.object(answer);
  else for (const line of linesOf(answer)) print.line(line);
  return exitCodes.ok;
};

/** `400d`, or a plain number of days. */
function daysOption(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  return parseCount(text.replace(/d$/, ''), '--keep', { min: 1, max: 36_500 });
}

function linesOf({ dryRun, from, to, segments, bytes, keepDays, stop }: LogPruneAnswer): string[] {
  const went = dryRun ? 'would go' : 'are gone';
  const what =
    segments === 0
      ? 'nothing to let go'
      : `records ${from} to ${to - 1} ${went}: ${segments} segments, ${formatSize(bytes)}`;
  const rest = stop === undefined ? '' : `record ${stop.seq} stays: ${safe(stop.detail)}`;
  const rule = `kept are ${keepDays} days`;
  return [what, ...(rest === '' ? [] : [rest]), rule];
}
