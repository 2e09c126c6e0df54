import type { PolicyDocument } from '#contract/policy.ts';
import { canonicalJson } from '../base/canonical.ts';

/**
 * What is another between two versions of a document, in short: `rule no-root: changed`,
 * `tools: + make`, `limits.memory: changed`. What that comes to is for `policy diff` to say.
 */
export function changesBetween(
  { document: before }: { document: PolicyDocument },
  { document: now }: { document: PolicyDocument },
): string[] {
  const { rules: rulesBefore, profiles: profilesBefore, ...restBefore } = before;
  const { rules, profiles, ...rest } = now;
  const found = [
    ...parts('', restBefore, rest),
    ...named('profile', profilesBefore ?? {}, profiles ?? {}),
    ...named('rule', byId(rulesBefore), byId(rules)),
  ];
  if ((rulesBefore === undefined) !== (rules === undefined)) {
    found.unshift(rules === undefined ? 'rules: none any more' : 'rules: from now on');
  }
  return found.length === 0 ? ['comments or layout'] : found;
}

function parts(prefix: string, before: object, now: object): string[] {
  const [a, b] = [before as Record<string, unknown>, now as Record<string, unknown>];
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].flatMap((key) => {
    const [was, is] = [a[key], b[key]];
    const name = `${prefix}${key}`;
    if (spell(was) === spell(is)) return [];
    if (Array.isArray(was) && Array.isArray(is)) return members(name, was, is);
    const isPart = isPlain(was) && isPlain(is) && prefix === '';
    return isPart ? parts(`${key}.`, was, is) : [`${name}: changed`];
  });
}

function members(name: string, before: readonly unknown[], now: readonly unknown[]): string[] {
  const [was, is] = [before.map(wordOf), now.map(wordOf)];
  const gone = was.filter((word) => !is.includes(word)).map((word) => `- ${word}`);
  const added = is.filter((word) => !was.includes(word)).map((word) => `+ ${word}`);
  const said = [...gone, ...added].join(', ');
  return [`${name}: ${said === '' ? 'another order' : said}`];
}

function wordOf(member: unknown): string {
  return typeof member === 'string' ? member : spell(member);
}

function named(
  what: string,
  before: Readonly<Record<string, unknown>>,
  now: Readonly<Record<string, unknown>>,
): string[] {
  return [...new Set([...Object.keys(before), ...Object.keys(now)])].flatMap((key) => {
    if (!Object.hasOwn(now, key)) return [`${what} ${key}: removed`];
    if (!Object.hasOwn(before, key)) return [`${what} ${key}: added`];
    return spell(before[key]) === spell(now[key]) ? [] : [`${what} ${key}: changed`];
  });
}

function byId(rules: PolicyDocument['rules']): Record<string, unknown> {
  return Object.fromEntries((rules ?? []).map((rule) => [rule.id, rule]));
}

function isPlain(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function spell(value: unknown): string {
  return value === undefined ? '' : canonicalJson(value);
}
