import { OrchestraError, type ErrorCode, type ErrorPlace } from '#contract/errors.ts';
import { troubleWords, type TroubleCode } from '#contract/planning.ts';
import { nearest, quoted } from '../../base/schema-issues.ts';
import type { Tried } from './asker.ts';

const passing: readonly string[] = [
  'rate_limit',
  'overloaded',
  'network',
  'timeout',
  'resting',
] satisfies TroubleCode[];

/** Nobody had a plan, with who was tried. */
export class NoPlan extends OrchestraError {
  readonly tried: readonly Tried[];

  constructor(code: ErrorCode, places: ErrorPlace[], tried: readonly Tried[]) {
    super(code, 'no planner has a plan for this', { hint: 'write a plan: --plan FILE', places });
    this.tried = tried;
  }
}

export function noPlan(tried: readonly Tried[], rules: OrchestraError | undefined): OrchestraError {
  const models = tried.filter(({ code, planner }) => planner !== 'rules' && code !== 'ok');
  const places = models.map(({ planner, code }) => ({
    message: `${planner}: ${code === 'ok' ? '' : troubleWords[code]}`,
  }));
  if (tried.some(({ planner }) => planner === 'rules') && rules !== undefined) {
    const reasons = rules.places.length > 0 ? rules.places : [{ message: rules.message }];
    places.push(...reasons.map(({ message }) => ({ message: `rules: ${message}` })));
  }
  const isDenied = models.some((one) => one.code === 'denied') || rules?.code === 'policy.denied';
  const code = isDenied
    ? 'policy.denied'
    : models.some((one) => passing.includes(one.code))
      ? 'planner.unavailable'
      : 'plan.impossible';
  return new NoPlan(code, places.slice(0, 64), tried);
}

export function unknownPlanner(name: string, names: readonly string[]): OrchestraError {
  const near = nearest(name, names);
  return new OrchestraError('planner.unknown', `There is no planner ${quoted(name)}`, {
    hint: near === undefined ? `planners: ${names.join(', ')}` : `did you mean ${near}?`,
  });
}
