import { isScalar, LineCounter, parseDocument, visit, type Document } from 'yaml';
import type { z } from 'zod';
import { OrchestraError, type ErrorCode, type ErrorPlace } from '#contract/errors.ts';
import { nearestWord } from './nearest.ts';

const bytesMax = 256 * 1024;
const aliasesMax = 32;

/** Reads a YAML document by a schema; every fault at once, each with its line and column. */
export function parseYaml<S extends z.ZodType>(
  text: string,
  { file, schema, code }: { file: string; schema: S; code: ErrorCode },
): z.infer<S> {
  if (Buffer.byteLength(text) > bytesMax) {
    throw new OrchestraError(code, `${file} is larger than ${bytesMax} bytes`);
  }
  const counter = new LineCounter();
  const document = parseDocument(text, { lineCounter: counter, uniqueKeys: true });
  const at = (offset: number) => {
    const { line, col } = counter.linePos(offset);
    return { file, line, column: col };
  };
  const broken = [...document.errors, ...document.warnings];
  // The parser calls itself for every level, and what it says once its stack is used up is noise.
  if (broken.some((error) => /call stack|stack overflow/i.test(error.message))) {
    throw invalid(code, file, [{ file, line: 1, column: 1, message: 'nested too deeply' }]);
  }
  if (broken.length > 0) {
    const places = broken.map((error) => ({
      ...at(error.pos[0]),
      message: (error.message.split('\n')[0] ?? '').replace(/ at line .*$/, ''),
    }));
    throw invalid(code, file, places);
  }
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: aliasesMax });
  } catch (cause) {
    throw new OrchestraError(code, `${file} refers to itself too often`, { cause });
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const words = keysOf(document);
  throw invalid(
    code,
    file,
    parsed.error.issues.flatMap((issue): ErrorPlace[] => {
      if (issue.code === 'unrecognized_keys') {
        return issue.keys.map((key) => ({
          ...at(offsetOf(document, [...issue.path, key], true)),
          message: `unknown key ${key}`,
          ...suggestion(key, schema, issue.path, words),
        }));
      }
      const place = at(offsetOf(document, issue.path, false));
      return [{ ...place, message: `${issue.path.join('.')}: ${issue.message}` }];
    }),
  );
}

function invalid(code: ErrorCode, file: string, places: ErrorPlace[]): OrchestraError {
  const count = places.length === 1 ? 'a problem' : `${places.length} problems`;
  return new OrchestraError(code, `${file} has ${count}`, { places: places.slice(0, 50) });
}

function suggestion(
  key: string,
  schema: z.ZodType,
  path: readonly PropertyKey[],
  used: ReadonlySet<string>,
): { hint?: string } {
  const known = keysAt(schema, path).filter((name) => !used.has(name) || name === key);
  const near = nearestWord(key, known);
  return near === undefined ? {} : { hint: `did you mean ${near}?` };
}

function keysAt(schema: z.ZodType, path: readonly PropertyKey[]): string[] {
  let at: unknown = schema;
  for (const part of path) {
    const inner = at as { shape?: Record<string, unknown>; element?: unknown };
    at = typeof part === 'number' ? inner.element : inner.shape?.[String(part)];
    if (at === undefined) return [];
  }
  return Object.keys((at as { shape?: object }).shape ?? {});
}

// The offset of the deepest node on the way that exists; of the key itself where that is meant.
function offsetOf(document: Document, path: readonly PropertyKey[], isKey: boolean): number {
  for (let length = path.length; length > 0; length--) {
    const parent = document.getIn(path.slice(0, length - 1), true);
    const last = path[length - 1];
    const pairs = (parent as { items?: { key?: unknown; value?: unknown }[] } | undefined)?.items;
    const pair = pairs?.find((item) => isScalar(item.key) && String(item.key.value) === last);
    const node = pair === undefined ? document.getIn(path.slice(0, length), true) : undefined;
    const found = pair === undefined ? node : isKey ? pair.key : (pair.value ?? pair.key);
    const range = (found as { range?: [number, number, number] } | undefined)?.range;
    if (range) return range[0];
  }
  return document.contents?.range?.[0] ?? 0;
}

function keysOf(document: Document): Set<string> {
  const keys = new Set<string>();
  visit(document, {
    Pair: (_key, pair) => {
      if (isScalar(pair.key)) keys.add(String(pair.key.value));
    },
  });
  return keys;
}
