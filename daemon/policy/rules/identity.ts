import type { Rule } from './rule.ts';

const required = {
  task: ['orchestra.install', 'orchestra.run', 'orchestra.task', 'orchestra.attempt'],
  slot: ['orchestra.install', 'orchestra.slot'],
} as const;

/** Never root, and always to be found again: a name and labels that recovery can read. */
export const identity: Rule = (spec) => {
  const reasons: string[] = [];
  const { uid, gid } = spec.user;
  if (!isOrdinary(uid) || !isOrdinary(gid))
    reasons.push(`user ${uid}:${gid} is not an ordinary one`);
  if (typeof spec.name !== 'string' || !/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$/.test(spec.name))
    reasons.push('the name is not a container name');
  for (const label of required[spec.role]) {
    const value = Object.hasOwn(spec.labels, label) ? spec.labels[label] : undefined;
    if (typeof value !== 'string' || value === '') reasons.push(`label ${label} is missing`);
  }
  return reasons;
};

function isOrdinary(id: number): boolean {
  return Number.isSafeInteger(id) && id >= 1 && id < 2 ** 31;
}
