import { defaultEnvironment, fixedValue, isReserved } from '../../tools/environment.ts';
import { quoted } from '../../base/schema-issues.ts';
import { allowsName } from '../env-pattern.ts';
import type { Rule } from './rule.ts';

/** Names are on the list; names of the daemon's own have exactly the daemon's value. */
export const environment: Rule = (spec, policy, { task }) => {
  if (typeof spec.env !== 'object') return ['the environment is not a set of names'];
  return Object.entries(spec.env).flatMap(([name, value]) => {
    if (!/^[A-Za-z_][A-Za-z0-9_]{0,63}$/.test(name)) return [`${quoted(name)} is not a name`];
    if (value.includes('\0')) return [`the value of ${name} holds a NUL`];
    const fixed = fixedValue(name);
    if (fixed !== undefined) {
      return value === fixed ? [] : [`${name} is the daemon's own and has another value`];
    }
    const usual = Object.hasOwn(defaultEnvironment, name) && defaultEnvironment[name] === value;
    if (usual) return [];
    if (isReserved(name)) return [`${name} is never allowed`];
    if (isAnswer(name) && task?.given?.includes(name) === true) return [];
    return allowsName(policy.env, name) ? [] : [`${name} is not on the list of names`];
  });
};

/** As answers of people are called, and nothing that a program looks for by itself. */
function isAnswer(name: string): boolean {
  return /^ANSWER_[A-Z][A-Z0-9_]{0,47}$/.test(name);
}
