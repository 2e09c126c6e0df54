import type { Pitfall } from '#contract/learning.ts';
import type { PlanTask } from '#contract/plan.ts';
import { formatDuration } from '#contract/units.ts';
import { familyOf, isVague } from './family.ts';
import type { Learning, TaskSample, Whose } from './learning.ts';
import { patternOf, remediesFor } from './remedies.ts';

const pitfallsMax = 32;
/** Of what is older, little can be said about today. */
const lately = 10;
const failedMin = 2;
const shareMin = 0.5;
const runsMax = 8;
/** What nine of ten keep is not yet a limit for the tenth. */
const spare = 1.25;

/**
 * What earlier attempts of the same families in the same workspace warn of. Failures of the code
 * itself are no pitfalls: they are what tasks are there to find. Nothing is changed by it.
 */
export function pitfallsOf(
  tasks: readonly PlanTask[],
  { learning, workspace, whose }: { learning: Learning; workspace: string; whose: Whose },
): Pitfall[] {
  const found: Pitfall[] = [];
  const families = new Map(tasks.map((task) => [task.id, familyOf(task)]));
  for (const task of tasks) {
    if (found.length >= pitfallsMax) return found;
    const family = familyOf(task);
    if (isVague(family)) continue;
    const samples = learning.samples(family, whose).filter((one) => one.workspace === workspace);
    const after = task.deps.map((dep) => families.get(dep) ?? '');
    const pitfall = tooShort(task, family, samples) ?? recurring({ task, family, after }, samples);
    if (pitfall !== undefined) found.push(pitfall);
  }
  return found;
}

function tooShort(
  { id, limits }: PlanTask,
  family: string,
  samples: readonly TaskSample[],
): Pitfall | undefined {
  const limit = limits.timeoutMs;
  const longer = (one: TaskSample) => (one.timedOut ? one.timeoutMs >= limit : one.ms > limit);
  // What was ended with less time than this one has says nothing about it.
  const recent = samples.filter((one) => !one.timedOut || longer(one)).slice(-lately);
  const failed = recent.filter(longer);
  if (!isMuch(failed.length, recent.length)) return undefined;
  const p90 = quantileMs(samples, 0.9);
  const isKnown = p90 !== undefined && p90 > limit * 0.8;
  const longest = Math.max(
    limit,
    ...failed.filter((one) => one.timedOut).map((one) => one.timeoutMs),
  );
  const wanted = isKnown ? p90 * spare : longest * 2;
  const suggestedTimeoutMs = Math.ceil(wanted / 1000) * 1000;
  const times = `${failed.length} of ${recent.length}`;
  const known = isKnown ? `; nine of ten that succeed take up to ${formatDuration(p90)}` : '';
  return {
    task: id,
    family,
    message: `${family} did not end within ${formatDuration(limit)} in ${times} attempts${known}`,
    hint: `give it more time in a plan file: timeout: ${Math.ceil(suggestedTimeoutMs / 1000)}s`,
    failed: failed.length,
    of: recent.length,
    runs: runsOf(failed),
    suggestedTimeoutMs,
  };
}

function recurring(
  { task, family, after }: { task: PlanTask; family: string; after: readonly string[] },
  samples: readonly TaskSample[],
): Pitfall | undefined {
  const recent = samples.slice(-lately);
  const patterns = new Set(recent.filter((one) => !one.passed).map(patternOf));
  for (const pattern of patterns) {
    if (pattern === 'timeout') continue;
    const failed = recent.filter((one) => !one.passed && patternOf(one) === pattern);
    const helped = remediesFor(samples, pattern).find(
      (remedy) => remedy.helped > 0 && remedy.what !== 'other files',
    );
    if (helped === undefined && /^(?:code|unknown)/.test(pattern)) continue;
    // What helped is done already.
    if (helped !== undefined && after.some((one) => helped.what === `after ${one}`)) continue;
    if (!isMuch(failed.length, recent.length)) continue;
    const hint = helped && `${helped.what} helped ${helped.helped} of ${helped.tried} times`;
    return {
      task: task.id,
      family,
      message: `${family} failed in ${failed.length} of ${recent.length} attempts: ${pattern}`,
      ...(hint === undefined ? {} : { hint }),
      failed: failed.length,
      of: recent.length,
      runs: runsOf(failed),
    };
  }
  return undefined;
}

function isMuch(failed: number, of: number): boolean {
  return failed >= failedMin && failed / of >= shareMin;
}

/** Of attempts that succeeded; undefined where there are too few to say anything. */
export function quantileMs(
  samples: readonly Pick<TaskSample, 'passed' | 'ms'>[],
  share: number,
): number | undefined {
  const times = samples
    .filter(({ passed }) => passed)
    .map(({ ms }) => ms)
    .toSorted((a, b) => a - b);
  return times.length < 3 ? undefined : times[Math.ceil(times.length * share) - 1];
}

export function runsOf(samples: readonly { run: string }[]): string[] {
  return [...new Set(samples.map(({ run }) => run))].slice(-runsMax);
}
