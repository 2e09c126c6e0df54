import { OrchestraError, type ErrorCode, type ErrorPlace } from '#contract/errors.ts';
import { nearest, quoted } from '../../base/schema-issues.ts';
import type { Tried } from './planners.ts';
import type { TroubleCode } from './trouble.ts';

/** Why a planner was of no use, for people. */
export const troubleWords: Readonly<Record<TroubleCode, string>> = {
  key: 'its key cannot be read here',
  auth: 'its key is not taken',
  billing: 'it wants to be paid first',
  config: 'the model, the address or the question is not known there',
  rate_limit: 'it was asked too often',
  overloaded: 'it is overloaded',
  network: 'it could not be reached, or was cut off',
  timeout: 'it took too long',
  refusal: 'it refused',
  truncated: 'its answer was cut at the limit of its output',
  too_large: 'its answer was too large',
  invalid: 'none of its plans was sound, after every repair',
  denied: 'the policy allows none of its plans',
  budget: 'its budget was too small',
  resting: 'it failed before and is left alone for a while',
  impossible: 'they know no plan for this',
};

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
