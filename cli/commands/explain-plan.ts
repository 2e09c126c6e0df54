import type { LearnedShape, PlanExplanation } from '#contract/learning.ts';
import { triedLine } from '#contract/planning.ts';
import { formatDuration } from '#contract/units.ts';
import type { Context } from '../context.ts';
import { safe } from '../terminal/clean.ts';
import { table } from '../terminal/text.ts';

/** Why a run has the plan that it has: who made it, its points, and the runs behind them. */
export async function explainPlan({ print, client }: Context, id: string): Promise<number> {
  const daemon = await client();
  const answer = await daemon.call('planExplain', { params: { id } });
  if (print.json) {
    print.object(answer);
    return 0;
  }
  const { tried = [] } = await daemon.call('runShow', { params: { id } });
  const goal = answer.goal === undefined ? '' : `, for: ${answer.goal}`;
  print.line(safe(`Plan    of ${answer.run}, by ${answer.planner}${goal}`));
  for (const one of tried) print.line(`  ${safe(triedLine(one))}`);
  for (const line of scoreLines(answer)) print.line(line);
  const rows = answer.tasks.map((task) => [
    `  ${safe(task.id)}`,
    safe(task.family),
    `${task.passed} of ${task.passed + task.failed}`,
    `${Math.round(task.chance * 100)} %`,
    task.runs.slice(-3).join(' '),
  ]);
  for (const line of table([['  TASK', 'LIKE', 'PASSED', 'CHANCE', 'SEEN IN'], ...rows]))
    print.line(line);
  if (answer.past !== undefined) print.line(`Past    ${shapeWords(answer.past)}`);
  for (const other of answer.others) {
    print.line(safe(`Other   by ${other.planner}: ${shapeWords(other)}`));
  }
  for (const { task, message, hint } of answer.pitfalls) {
    print.line(safe(`Beware  ${task}: ${message}${hint === undefined ? '' : `; ${hint}`}`));
  }
  return 0;
}

function scoreLines({ score, coverageKnown }: PlanExplanation): string[] {
  const coverage = coverageKnown ? `${score.coverage} of 40` : 'not known any more';
  return [
    `Points  ${score.total} of 100, as of now`,
    `  covers what the rules would run    ${coverage}`,
    `  likely to succeed                  ${score.success} of 20`,
    `  time, ${formatDuration(score.makespanMs).padEnd(28)} ${score.makespan} of 20`,
    `  safe: known, no side effects       ${score.risk} of 10`,
    `  what came of plans like it         ${score.past} of 10`,
  ];
}

function shapeWords({ passed, failed, up, down, bound, runs }: LearnedShape): string {
  const rated = up + down === 0 ? '' : `, rated ${up} up and ${down} down`;
  const least = `good in at least ${Math.round(bound * 100)} %`;
  return `succeeded in ${passed} of ${passed + failed} runs${rated}; ${least} (${runs.slice(-3).join(' ')})`;
}
