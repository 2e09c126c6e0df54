import type { Remedy } from '#contract/learning.ts';
import type { TaskSample } from './learning.ts';

/** How failures are told apart: the class, and the signature by which it was recognised. */
export function patternOf(sample: TaskSample): string {
  if (sample.timedOut) return 'timeout';
  return sample.class === undefined ? 'unknown' : `${sample.class} (${sample.rule ?? ''})`;
}

/**
 * After each failure of a pattern, the next attempt of the family in the same workspace: what was
 * different about it, and whether that helped. Where more than one thing was, each is counted.
 */
export function remediesFor(samples: readonly TaskSample[], pattern: string): Remedy[] {
  const found = new Map<string, Remedy>();
  for (const [at, failure] of samples.entries()) {
    if (failure.passed || patternOf(failure) !== pattern) continue;
    const next = samples.slice(at + 1).find(({ workspace }) => workspace === failure.workspace);
    if (next === undefined) continue;
    for (const what of changesOf(failure, next)) {
      const remedy = found.get(what) ?? { what, helped: 0, tried: 0 };
      remedy.tried += 1;
      if (next.passed) remedy.helped += 1;
      found.set(what, remedy);
    }
  }
  return [...found.values()].toSorted(
    (a, b) => b.helped - a.helped || a.tried - b.tried || (a.what < b.what ? -1 : 1),
  );
}

function changesOf(before: TaskSample, next: TaskSample): string[] {
  const changes = [
    ...(next.timeoutMs > before.timeoutMs ? ['more time'] : []),
    ...(next.memoryBytes > before.memoryBytes ? ['more memory'] : []),
    ...next.after.filter((one) => !before.after.includes(one)).map((one) => `after ${one}`),
  ];
  if (changes.length > 0) return changes;
  const isSame = before.action !== undefined && before.action === next.action;
  return [isSame || before.run === next.run ? 'another attempt' : 'other files'];
}
