import type { z } from 'zod';

/** One complaint of a schema in plain words. `keys` are the unknown keys that it is about. */
export type SchemaIssue = {
  path: readonly (string | number)[];
  message: string;
  hint?: string;
  /** The key itself is wrong, not the value behind it. */
  atKey?: string;
};

// Hostile input can be wrong a million times over.
const issuesMax = 50;

/**
 * What a schema says against a value, in words for people: one entry per unknown key, with the
 * nearest known one; `value` is what was checked, so that "missing" and "wrong" can be told apart.
 */
export function explainIssues(error: z.ZodError, schema: z.ZodType, value: unknown): SchemaIssue[] {
  return error.issues
    .slice(0, issuesMax)
    .flatMap((issue) => explain(issue, schema, value))
    .slice(0, issuesMax);
}

function explain(issue: z.core.$ZodIssue, schema: z.ZodType, value: unknown): SchemaIssue[] {
  const path = issue.path.map((part) => (typeof part === 'symbol' ? String(part) : part));
  switch (issue.code) {
    case 'unrecognized_keys': {
      const known = keysAt(schema, path);
      return issue.keys.slice(0, issuesMax).map((key) => {
        const near = nearest(key, known);
        const message = `unknown key ${quoted(key)}`;
        if (near !== undefined) return { path, message, hint: `did you mean ${near}?`, atKey: key };
        return { path, message, hint: `known keys: ${known.join(', ')}`, atKey: key };
      });
    }
    case 'invalid_key': {
      const key = String(path.at(-1));
      const why = issue.issues.map((inner) => inner.message).join(', ');
      return [{ path: path.slice(0, -1), message: `key ${quoted(key)}: ${why}`, atKey: key }];
    }
    case 'invalid_type': {
      const found = valueAt(value, path);
      if (found === undefined && path.length > 0) {
        return [{ path: path.slice(0, -1), message: `missing key ${String(path.at(-1))}` }];
      }
      return [{ path, message: `expected ${typeWord(issue.expected)}, found ${kindOf(found)}` }];
    }
    case 'invalid_value': {
      const found = valueAt(value, path);
      const words = issue.values.map(String);
      if (found === undefined && path.length > 0) {
        return [{ path: path.slice(0, -1), message: `missing key ${String(path.at(-1))}` }];
      }
      const near = typeof found === 'string' ? nearest(found, words) : undefined;
      const message = `must be ${words.join(' or ')}`;
      return [
        near === undefined ? { path, message } : { path, message, hint: `did you mean ${near}?` },
      ];
    }
    case 'invalid_union': {
      const inner = issue.errors.flat().map((one) => explain(one, schema, undefined)[0]?.message);
      const why = [...new Set(inner.filter((message) => message !== undefined))].join(', or ');
      return [{ path, message: why === '' ? lower(issue.message) : why }];
    }
    default:
      return [{ path, message: lower(issue.message) }];
  }
}

/** The candidate nearest to a mistyped word, if one is near enough to be meant. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  if (word.length > 64) return undefined;
  const worst = Math.max(1, Math.floor(word.length / 3));
  let best: string | undefined;
  let bestDistance = worst + 1;
  for (const candidate of candidates) {
    const d = distance(word.toLowerCase(), candidate.toLowerCase(), bestDistance);
    if (d < bestDistance) [best, bestDistance] = [candidate, d];
  }
  return best;
}

// Optimal string alignment: a swap of two neighbours counts as one mistake.
function distance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit;
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const same = a[i - 1] === b[j - 1];
      const left = row[j - 1] ?? limit;
      let cost = Math.min(
        left + 1,
        (previous[j] ?? limit) + 1,
        (previous[j - 1] ?? limit) + (same ? 0 : 1),
      );
      if (a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        cost = Math.min(cost, (before[j - 2] ?? limit) + 1);
      }
      row.push(cost);
    }
    [before, previous] = [previous, row];
  }
  return previous[b.length] ?? limit;
}

// The keys that a schema knows at a path: through wrappers, lists and records.
function keysAt(schema: z.ZodType, path: readonly (string | number)[]): string[] {
  let here: unknown = unwrapped(schema);
  for (const part of path) {
    const def = defOf(here);
    if (def.type === 'object') here = unwrapped(def.shape?.[part]);
    else if (def.type === 'array') here = unwrapped(def.element);
    else if (def.type === 'record') here = unwrapped(def.valueType);
    else return [];
  }
  return Object.keys(defOf(here).shape ?? {});
}

type Def = {
  type?: string;
  shape?: Record<string | number, unknown>;
  element?: unknown;
  valueType?: unknown;
  innerType?: unknown;
  in?: unknown;
};

function defOf(schema: unknown): Def {
  const found = (schema as { def?: Def } | undefined)?.def;
  return found ?? {};
}

function unwrapped(schema: unknown): unknown {
  let here = schema;
  for (let i = 0; i < 16; i += 1) {
    const def = defOf(here);
    const inner = def.innerType ?? (def.type === 'pipe' ? def.in : undefined);
    if (inner === undefined) return here;
    here = inner;
  }
  return here;
}

function valueAt(value: unknown, path: readonly (string | number)[]): unknown {
  let here = value;
  for (const part of path) {
    if (typeof here !== 'object' || here === null || !Object.hasOwn(here, part)) return undefined;
    here = (here as Record<string | number, unknown>)[part];
  }
  return here;
}

const typeWords: Readonly<Record<string, string>> = {
  string: 'text',
  array: 'a list',
  object: 'keys with values',
  record: 'keys with values',
  boolean: 'true or false',
  number: 'a number',
  int: 'a whole number',
};

function typeWord(expected: string): string {
  return typeWords[expected] ?? expected;
}

function kindOf(value: unknown): string {
  if (value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'string') return `the text ${quoted(value)}`;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  return typeof value === 'object' ? 'keys with values' : 'something else';
}

/** A word from outside in a message: harmless, and short. */
export function quoted(text: string, max = 60): string {
  const short = text.length > max ? `${text.slice(0, max)}…` : text;
  // JSON's escapes leave the C1 controls and the direction marks as they are.
  return JSON.stringify(short.toWellFormed()).replace(
    /[\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

function lower(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
