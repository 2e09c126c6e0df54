import { depthMax } from './limits.ts';

/**
 * Why a value cannot be a line of the log, or undefined. The limits are those that make plain
 * `JSON.stringify` equal to RFC 8785: keys `[a-z][a-z0-9_]*` in ascending order (so that no key is
 * re-ordered by the language and none is `__proto__`), safe integers, no null, well-formed strings,
 * at most six levels.
 */
export function whyNotCanonical(value: unknown, depth = 0): string | undefined {
  switch (typeof value) {
    case 'string':
      return value.isWellFormed() ? undefined : 'a string holds a lone surrogate';
    case 'number':
      return Number.isSafeInteger(value) && !Object.is(value, -0)
        ? undefined
        : 'a number is not a safe integer';
    case 'boolean':
      return undefined;
    case 'object':
      if (value === null) return 'a value is null';
      if (depth >= depthMax) return `nested deeper than ${depthMax} levels`;
      return Array.isArray(value) ? whyNotArray(value, depth + 1) : whyNotObject(value, depth + 1);
    default:
      return `a ${typeof value} is no JSON value`;
  }
}

function whyNotArray(items: readonly unknown[], depth: number): string | undefined {
  for (const item of items) {
    const why = whyNotCanonical(item, depth);
    if (why !== undefined) return why;
  }
  return undefined;
}

function whyNotObject(object: object, depth: number): string | undefined {
  let before = '';
  for (const key of Object.keys(object)) {
    if (!isKey(key)) return 'a key is not made of a-z, 0-9 and _';
    // Keys are ASCII here, so this comparison is the order of the bytes.
    if (key <= before) return 'keys are not in ascending order';
    before = key;
    const why = whyNotCanonical((object as Record<string, unknown>)[key], depth);
    if (why !== undefined) return why;
  }
  return undefined;
}

function isKey(key: string): boolean {
  for (let i = 0; i < key.length; i += 1) {
    const c = key.charCodeAt(i);
    if (c >= 97 && c <= 122) continue;
    if (i === 0 || !((c >= 48 && c <= 57) || c === 95)) return false;
  }
  return key.length > 0;
}
