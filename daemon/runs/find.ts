import { OrchestraError } from '#contract/errors.ts';
import type { RunFacts, RunStates } from './state.ts';

const failedStates: readonly string[] = ['failed', 'timed_out', 'violated', 'refused', 'unknown'];

/**
 * An id, a unique beginning of one (with or without `r-`), `@last` or `@last-failed`, among those
 * that somebody `sees`. Of the others nothing is said: it is as if they did not exist.
 */
export function findRun(
  states: RunStates,
  reference: string,
  sees: (run: RunFacts) => boolean = () => true,
): RunFacts {
  const exact = states.find(reference);
  if (exact !== undefined && sees(exact)) return exact;
  const all = states.all().filter(sees);
  if (reference === '@last') return all.at(-1) ?? unknown(reference);
  if (reference === '@last-failed') {
    return all.findLast((run) => failedStates.includes(run.state)) ?? unknown(reference);
  }
  const start = reference.startsWith('r-') ? reference : `r-${reference}`;
  const [first, second] = start === 'r-' ? [] : all.filter((run) => run.id.startsWith(start));
  if (!first) return unknown(reference);
  if (!second) return first;
  throw new OrchestraError('run.unknown', `More than one run begins with ${start}`, {
    hint: `write more of it, such as ${first.id}`,
  });
}

function unknown(reference: string): never {
  throw new OrchestraError('run.unknown', `There is no run ${reference.slice(0, 64)}`, {
    hint: 'orchestra runs',
  });
}
