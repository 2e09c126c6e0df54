import type { ArgvRule } from './effective.ts';

/** Whether every rule about a tool allows its arguments. */
export function allowsArgv(
  rules: readonly ArgvRule[],
  { tool, args }: { tool: string; args: readonly string[] },
): boolean {
  return rules.every(
    (rule) => rule.tool !== tool || rule.patterns.some((pattern) => fits(pattern, args)),
  );
}

/** `ci`, `run *`, `test **`: word by word, `*` is one whole argument, `**` all that are left. */
function fits(pattern: string, args: readonly string[]): boolean {
  const words = pattern === '' ? [] : pattern.split(' ');
  const isOpen = words.at(-1) === '**';
  const fixed = isOpen ? words.slice(0, -1) : words;
  if (isOpen ? args.length < fixed.length : args.length !== fixed.length) return false;
  return fixed.every((word, i) => word === '*' || word === args[i]);
}
