import path from 'node:path';
import { OrchestraError, exitCodes } from '#contract/errors.ts';
import { triedLine, type ComparedPlan } from '#contract/planning.ts';
import { formatDuration } from '#contract/units.ts';
import type { Context, Options } from '../context.ts';
import { countOption, textOption } from '../options.ts';
import { planFileOf } from '../run/plan-file.ts';
import type { RunSettings } from '../run/settings.ts';
import { snapshotWorkspace } from '../run/snapshot.ts';
import { safe } from '../terminal/clean.ts';
import { table } from '../terminal/text.ts';
import { writeFileFresh } from '../write-file.ts';

/** What each planner would do, best first, with the points that say why; `-o` takes the best. */
export async function comparePlans(
  context: Context,
  intent: string,
  { submit, workspace }: RunSettings,
  options: Options,
): Promise<number> {
  const { print } = context;
  if (submit.plan !== undefined || submit.planner !== undefined) {
    throw new OrchestraError('usage.invalid', '--compare asks every planner for a plan', {
      hint: 'leave --plan and --planner out',
    });
  }
  const tokens = countOption(options, 'tokens', { min: 1, max: 100_000_000 });
  const client = await context.client();
  const snapshot = await snapshotWorkspace(context, client, workspace);
  const { items } = await client.call('planCompare', {
    body: { ...submit, intent, snapshot, ...(tokens === undefined ? {} : { tokens }) },
  });
  const [{ plan: best, digest } = {}] = items;
  const out = textOption(options, 'out');
  if (out !== undefined && best !== undefined) {
    const text = Buffer.from(planFileOf({ ...best, digest, intent }));
    await writeFileFresh(path.resolve(context.cwd, out), [text]);
  }
  if (print.json) print.object({ items });
  else for (const line of linesOf(items)) print.line(line);
  if (out !== undefined && best !== undefined) print.note(`the best is written to ${safe(out)}`);
  return best === undefined ? exitCodes.config : exitCodes.ok;
}

const heads = [
  'planner',
  'points',
  'covers/40',
  'succeeds/20',
  'fast/20',
  'safe/10',
  'past/10',
  'tasks',
  'takes',
];

function linesOf(items: readonly ComparedPlan[]): string[] {
  const scored = items.flatMap(({ tried, tasks, score, sameAs }) =>
    score === undefined
      ? []
      : [
          [
            safe(tried.planner),
            score.total,
            score.coverage,
            score.success,
            score.makespan,
            score.risk,
            score.past,
            tasks ?? 0,
            `${formatDuration(score.makespanMs)}${sameAs === undefined ? '' : `  the plan of ${safe(sameAs)}`}`,
          ].map(String),
        ],
  );
  return [
    ...(scored.length === 0 ? ['No planner has a plan.'] : table([heads, ...scored])),
    ...items.map(({ tried }) => safe(triedLine(tried))),
  ];
}
