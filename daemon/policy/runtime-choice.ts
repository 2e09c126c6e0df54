import type { EffectivePolicy } from './effective.ts';

/**
 * Which OCI runtime a task gets. The list of the policy is an order of preference: the first one
 * that the engine has. What the operator named in the daemon's settings comes before it. Where
 * nothing of the list is there, the engine's default is answered, and the rule `runtime` denies it
 * with its reason: choosing is not allowing.
 */
export function chooseRuntime(
  policy: Pick<EffectivePolicy, 'isolation'>,
  engine: { runtimes: readonly string[]; defaultRuntime: string },
  named?: string,
): string {
  if (named !== undefined) return named;
  const { runtimes } = policy.isolation;
  return runtimes.find((one) => engine.runtimes.includes(one)) ?? engine.defaultRuntime;
}
