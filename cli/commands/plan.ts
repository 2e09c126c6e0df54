import path from 'node:path';
import { z } from 'zod';
import { OrchestraError } from '#contract/errors.ts';
import { triedLine } from '#contract/planning.ts';
import type { PlanForecast } from '#contract/forecast.ts';
import { formatDuration } from '#contract/units.ts';
import type { Command } from '../context.ts';
import { flagOption, textOption } from '../options.ts';
import { planFileOf } from '../run/plan-file.ts';
import { runSettings } from '../run/settings.ts';
import { snapshotWorkspace } from '../run/snapshot.ts';
import { safe } from '../terminal/clean.ts';
import { comparePlans } from './plan-compare.ts';
import { table } from '../terminal/text.ts';
import { writeFileFresh } from '../write-file.ts';

/** What is shown of a plan; the daemon validated it, so anything missing is shown as missing. */
const Shown = z.looseObject({
  planner: z.string().default('nobody knows'),
  assumptions: z.array(z.string()).default([]),
  tasks: z.array(
    z.looseObject({
      id: z.string(),
      command: z.array(z.string()).default([]),
      deps: z.array(z.string()).default([]),
      secrets: z.array(z.string()).default([]),
    }),
  ),
});

export const plan: Command = async (context, [intent], options) => {
  const { print } = context;
  const settings = await runSettings(context, options);
  const planFile = settings.submit.plan?.file;
  const words = intent ?? (planFile === undefined ? undefined : `Run ${planFile}`);
  if (words === undefined) {
    throw new OrchestraError('usage.invalid', 'Nothing was asked for', {
      hint: 'orchestra plan "Build and test", or --plan FILE',
    });
  }
  if (flagOption(options, 'compare')) return comparePlans(context, words, settings, options);
  const client = await context.client();
  const snapshot = await snapshotWorkspace(context, client, settings.workspace);
  const answer = await client.call('planMake', {
    body: { ...settings.submit, intent: words, snapshot },
  });
  const out = textOption(options, 'out');
  if (out !== undefined)
    await writeFileFresh(path.resolve(context.cwd, out), [
      Buffer.from(planFileOf({ ...answer.plan, digest: answer.digest, intent: words })),
    ]);
  if (print.json) {
    print.object(answer);
    return 0;
  }
  const shown = Shown.parse(answer.plan);
  print.line(`Plan  ${shown.tasks.length} tasks · ${answer.digest}`);
  print.line(`  planned by ${safe(shown.planner)}`);
  for (const one of answer.tried ?? []) print.line(`  ${safe(triedLine(one))}`);
  for (const text of answer.summary) print.line(`  ${safe(text)}`);
  for (const line of table(
    shown.tasks.map((task) => [
      `  ${task.id}`,
      task.command.map(quoted).join(' '),
      [
        ...(task.deps.length > 0 ? [`after ${task.deps.join(', ')}`] : []),
        ...(task.secrets.length > 0 ? [`given ${task.secrets.join(', ')}`] : []),
        ...timesOf(answer.forecast, task.id),
      ].join(' · '),
    ]),
  )) {
    print.line(line);
  }
  const expected = forecastLine(answer.forecast);
  if (expected !== undefined) print.line(`  ${expected}`);
  for (const text of shown.assumptions) print.line(`  assumed: ${safe(text)}`);
  for (const text of answer.clamped) print.line(`  tightened: ${safe(text)}`);
  for (const { task, message, hint } of answer.pitfalls ?? []) {
    print.line(`  beware: ${safe(`${task}: ${message}${hint === undefined ? '' : `; ${hint}`}`)}`);
  }
  if (out !== undefined) print.note(`written to ${safe(out)}`);
  return 0;
};

function timesOf({ tasks }: PlanForecast, id: string): string[] {
  const { cached, p50_ms } = tasks.find((task) => task.id === id) ?? {};
  if (cached === true) return ['cached'];
  return p50_ms === undefined ? [] : [`about ${formatDuration(p50_ms)}`];
}

function forecastLine({ tasks, cached, makespan_ms }: PlanForecast): string | undefined {
  if (makespan_ms === undefined) return undefined;
  const known = tasks.filter((task) => task.cached || task.p50_ms !== undefined).length;
  const guessed = known < tasks.length ? `; ${tasks.length - known} never ran here` : '';
  return `would take about ${formatDuration(makespan_ms)}; ${cached} of ${tasks.length} cached${guessed}`;
}

/** An argument as a shell would need it, so that its ends can be seen. */
export function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
