import { OrchestraError } from '#contract/errors.ts';
import type { LearnedFamily, LearnedShape } from '#contract/learning.ts';
import { formatDuration } from '#contract/units.ts';
import type { Command } from '../context.ts';
import { flagOption, textOption } from '../options.ts';
import { safe } from '../terminal/clean.ts';
import { table } from '../terminal/text.ts';

/** What earlier runs taught, in short. */
export const learnedShow: Command = async ({ print, client }, [family]) => {
  const daemon = await client();
  const answer = await daemon.call('learnedShow');
  const families = answer.families.filter((one) => family === undefined || one.family === family);
  const shapes = family === undefined ? answer.shapes : [];
  if (print.json) {
    print.object({ ...answer, families, shapes });
    return 0;
  }
  if (families.length > 0) {
    const rows = families.map((one) => [safe(one.family), ...countsOf(one), timesOf(one)]);
    for (const line of table([['TASKS LIKE', 'PASSED', 'FAILED', 'HALF / 9 OF 10'], ...rows]))
      print.line(line);
    for (const one of families) for (const line of failureLines(one)) print.line(line);
  }
  if (shapes.length > 0) {
    const rows = shapes.map((one) => [short(one.shape), safe(one.goal ?? ''), ...standing(one)]);
    for (const line of table([['PLAN', 'FOR', 'BY', 'SUCCEEDED', 'RATED', 'AT LEAST'], ...rows]))
      print.line(line);
  }
  if (families.length + shapes.length === 0) print.note('nothing was learned yet');
  return 0;
};

/** All of it as JSON, the same for the same log. */
export const learnedExport: Command = async ({ print, client }) => {
  const daemon = await client();
  const answer = await daemon.call('learnedShow');
  if (print.json) print.object(answer);
  else print.line(JSON.stringify(answer, undefined, 2));
  return 0;
};

export const learnedForget: Command = async ({ print, client }, _args, options) => {
  const family = textOption(options, 'family');
  const all = flagOption(options, 'all');
  if ((family === undefined) === !all) {
    throw new OrchestraError('usage.invalid', 'What shall be forgotten?', {
      hint: '--family "npm test", or --all',
    });
  }
  const everybody = flagOption(options, 'everybody');
  const daemon = await client();
  const answer = await daemon.call('learnedForget', {
    body: { ...(family === undefined ? {} : { family }), everybody },
  });
  if (print.json) print.object(answer);
  else {
    const what = family === undefined ? 'Everything' : safe(family);
    const whose = everybody ? 'from anybody’s runs' : 'from your runs';
    print.line(`${what} that was learned ${whose} before record #${answer.beforeSeq} is forgotten`);
  }
  return 0;
};

function countsOf({ passed, failed, timedOut }: LearnedFamily): string[] {
  return [String(passed), timedOut === 0 ? String(failed) : `${failed} (${timedOut} too slow)`];
}

function timesOf({ p50_ms, p90_ms }: LearnedFamily): string {
  if (p50_ms === undefined || p90_ms === undefined) return '';
  return `${formatDuration(p50_ms)} / ${formatDuration(p90_ms)}`;
}

function failureLines({ family, failures }: LearnedFamily): string[] {
  return failures.map(({ pattern, count, remedies }) => {
    const helped = remedies
      .filter((one) => one.helped > 0)
      .map((one) => `${one.what} helped ${one.helped} of ${one.tried} times`);
    const then = helped.length === 0 ? '' : `; ${helped.join(', ')}`;
    return safe(`  ${family}: ${pattern}, ${count} times${then}`);
  });
}

function standing({ planner, passed, failed, up, down, bound }: LearnedShape): string[] {
  return [
    safe(planner),
    `${passed} of ${passed + failed}`,
    up + down === 0 ? '' : `${up} up, ${down} down`,
    `${Math.round(bound * 100)} %`,
  ];
}

function short(digest: string): string {
  return digest.slice(0, 'sha256:'.length + 12);
}
