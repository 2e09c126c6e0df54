import { hash } from 'node:crypto';
import type { Digest } from '#contract/ids.ts';

const depthMax = 256;

/**
 * RFC 8785: the one spelling of a JSON value that everybody hashes alike.
 *
 * A property that is `undefined` is absent, as in JSON. Whatever JSON cannot say exactly throws a
 * `TypeError`, never an approximation: NaN, bigint, lone surrogates, class instances, functions,
 * holes in an array, cycles and nesting beyond 256 levels.
 */
export function canonicalJson(value: unknown): string {
  return write(value, 0);
}

/** The digest of the canonical spelling. */
export function digestOf(value: unknown): Digest {
  return `sha256:${hash('sha256', canonicalJson(value), 'hex')}`;
}

function write(value: unknown, depth: number): string {
  switch (typeof value) {
    case 'string':
      return writeString(value);
    case 'boolean':
      return value ? 'true' : 'false';
    case 'number':
      if (!Number.isFinite(value)) throw new TypeError(`${value} has no JSON spelling`);
      return JSON.stringify(value);
    case 'object':
      if (value === null) return 'null';
      if (depth >= depthMax) throw new TypeError(`nested deeper than ${depthMax} levels`);
      return Array.isArray(value) ? writeArray(value, depth + 1) : writeObject(value, depth + 1);
    default:
      throw new TypeError(`a ${typeof value} has no JSON spelling`);
  }
}

function writeString(text: string): string {
  if (!text.isWellFormed()) throw new TypeError('a lone surrogate has no JSON spelling');
  return JSON.stringify(text);
}

function writeArray(items: readonly unknown[], depth: number): string {
  let out = '[';
  // An index loop, because `map` would skip holes in silence.
  for (let i = 0; i < items.length; i += 1) out += (i === 0 ? '' : ',') + write(items[i], depth);
  return `${out}]`;
}

function writeObject(object: object, depth: number): string {
  const prototype: unknown = Object.getPrototypeOf(object);
  if (prototype !== Object.prototype && prototype !== null) {
    throw new TypeError('only plain objects have a JSON spelling');
  }
  let out = '';
  // The default order of sort() is by UTF-16 code units, which is what the RFC asks for.
  for (const key of Object.keys(object).toSorted()) {
    const value = (object as Record<string, unknown>)[key];
    if (value === undefined) continue;
    out += `${out === '' ? '' : ','}${writeString(key)}:${write(value, depth)}`;
  }
  return `{${out}}`;
}
