import {
  Composer,
  CST,
  isCollection,
  isMap,
  isNode,
  isPair,
  isScalar,
  isSeq,
  Lexer,
  LineCounter,
  Parser,
  visit,
  type Document,
  type Node,
} from 'yaml';
import type { z } from 'zod';
import { OrchestraError, type ErrorCode, type ErrorPlace } from '#contract/errors.ts';
import { readPlainJson } from './plain-json.ts';
import { explainIssues, quoted } from './schema-issues.ts';
import { offsetInSource } from './yaml-offset.ts';

export type YamlOptions<T> = {
  /** The name to use in places. */
  file: string;
  schema: z.ZodType<T>;
  code: ErrorCode;
  maxBytes: number;
};

type YamlPath = readonly (string | number)[];

export type ParsedYaml<T> = {
  value: T;
  /** Where the value behind a path begins; the nearest one above it where there is none. */
  locate: (path: YamlPath) => YamlPlace;
  /** The same for a character of the text that stands there, however it is written. */
  locateIn: (path: YamlPath, offset: number) => YamlPlace;
};

export type YamlPlace = { file: string; line: number; column: number };

const placesMax = 50;
const depthMax = 32;

/** As `readYaml`, the value alone. */
export function parseYaml<T>(text: string, options: YamlOptions<T>): T {
  return readYaml(text, options).value;
}

/**
 * One YAML document checked against a schema, or an error with the place of everything wrong.
 *
 * Plain data only: duplicate keys, anchors, aliases, tags, a second document and the key
 * `__proto__` are refused, so that what a reader sees is what is meant and nothing can expand.
 */
export function readYaml<T>(text: string, options: YamlOptions<T>): ParsedYaml<T> {
  const json = text.length > options.maxBytes ? undefined : readPlainJson(text, depthMax);
  const passed = json === undefined ? undefined : options.schema.safeParse(json);
  if (passed?.success !== true) return readText(text, options);
  let places: ParsedYaml<T> | undefined;
  return {
    value: passed.data,
    locate: (path) => (places ??= readText(text, options)).locate(path),
    locateIn: (path, offset) => (places ??= readText(text, options)).locateIn(path, offset),
  };
}

/** By the parser that knows where everything stands. */
function readText<T>(text: string, options: YamlOptions<T>): ParsedYaml<T> {
  const { file, schema, code, maxBytes } = options;
  const lines = new LineCounter();
  const fail = (places: ErrorPlace[]): never => {
    const count = places.length === 1 ? '1 problem' : `${places.length} problems`;
    // In the order of the file: a reader mends from the top.
    const sorted = places.toSorted(
      (a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0),
    );
    throw new OrchestraError(code, `${file} has ${count}`, { places: sorted.slice(0, placesMax) });
  };
  const at = (offset: number, message: string, hint?: string): ErrorPlace => {
    const { line, col } = lines.linePos(offset);
    const place = { file, line: Math.max(1, line), column: Math.max(1, col), message };
    return hint === undefined ? place : { ...place, hint };
  };

  if (Buffer.byteLength(text) > maxBytes) {
    return fail([{ file, message: `larger than the ${maxBytes} bytes that are allowed` }]);
  }
  const parsed = parse(text, lines);
  if (!parsed.ok) return fail([at(parsed.offset, firstLine(parsed.message))]);
  const { document } = parsed;
  const broken = [...document.errors, ...document.warnings];
  if (broken.length > 0) {
    return fail(broken.slice(0, placesMax).map((e) => at(e.pos[0], firstLine(e.message))));
  }
  const refused = findRefused(document, at);
  if (refused.length > 0) return fail(refused);

  const value: unknown = document.toJS({ maxAliasCount: 0 });
  const checked = schema.safeParse(value);
  const offsetOf = (path: YamlPath): number => nodeOffset(document, path);
  if (!checked.success) {
    return fail(
      explainIssues(checked.error, schema, value).map((issue) => {
        const offset =
          issue.atKey === undefined
            ? offsetOf(issue.path)
            : keyOffset(document, issue.path, issue.atKey);
        return at(offset, issue.message, issue.hint);
      }),
    );
  }
  const place = (offset: number): YamlPlace => {
    const { line, col } = lines.linePos(offset);
    return { file, line: Math.max(1, line), column: Math.max(1, col) };
  };
  return {
    value: checked.data,
    locate: (path) => place(offsetOf(path)),
    locateIn(path, offset) {
      const node = document.getIn([...path], true);
      if (!isScalar(node) || typeof node.value !== 'string' || !node.range) {
        return place(offsetOf(path));
      }
      const [start, end] = node.range;
      return place(offsetInSource(text, { start, end }, node.value, offset));
    },
  };
}

type Parse =
  { ok: true; document: Document.Parsed } | { ok: false; offset: number; message: string };

// The library's own steps, one by one, because its short cut goes on after any number of errors
// and is slow on hostile text. `uniqueKeys` is off for the same reason: it compares every key with
// every other; `findRefused` does it with a set.
function parse(text: string, lines: LineCounter): Parse {
  const refused = findRefusedToken(text);
  if (refused !== undefined) return { ok: false, ...refused };
  const composer = new Composer({
    prettyErrors: false,
    strict: true,
    uniqueKeys: false,
    version: '1.2',
    schema: 'core',
    merge: false,
  });
  const documents: Document.Parsed[] = [];
  const parser = new Parser((offset) => lines.addNewLine(offset));
  let size = 0;
  for (const token of parser.parse(text)) {
    if (token.type === 'error') return { ok: false, offset: token.offset, message: token.message };
    if (documents.length > 0) break;
    documents.push(...(composer.next(token) as Iterable<Document.Parsed>));
    size = token.offset;
  }
  documents.push(...(composer.end(true, text.length) as Iterable<Document.Parsed>));
  const [document] = documents;
  if (document === undefined || documents.length > 1) {
    return { ok: false, offset: size, message: 'more than one document' };
  }
  if (document.errors.some((error) => /call stack/i.test(error.message))) {
    return { ok: false, offset: 0, message: tooDeep };
  }
  return { ok: true, document };
}

const tooDeep = `nested deeper than ${depthMax} levels`;

// The parser calls itself for every level. Brackets, and indicators in a row such as "- - -", are
// how a small text nests deeply; the lexer knows which of them are text. Anchors, aliases and tags
// are refused here too, because a million of them keeps the later steps busy for half a minute.
function findRefusedToken(text: string): { offset: number; message: string } | undefined {
  let brackets = 0;
  let row = 0;
  let inside = 0;
  let offset = 0;
  for (const lexeme of new Lexer().lex(text)) {
    switch (CST.tokenType(lexeme)) {
      case 'flow-seq-start':
      case 'flow-map-start':
        brackets += 1;
        break;
      case 'flow-seq-end':
      case 'flow-map-end':
        brackets -= 1;
        if (brackets === 0) inside = 0;
        break;
      case 'seq-item-ind':
      case 'explicit-key-ind':
      case 'map-value-ind':
        if (brackets === 0) row += 1;
        else inside += 1;
        break;
      case 'comma':
        // What stands beside each other within brackets is not nested, however long the line.
        inside = 0;
        break;
      case 'anchor':
      case 'alias':
      case 'tag':
        return { offset, message: 'anchors, aliases and tags are not allowed here' };
      case 'newline':
        row = 0;
        break;
      case 'space':
        // Two columns a level are the least that people write.
        if (row === 0 && lexeme.length > depthMax * 8) return { offset, message: tooDeep };
        break;
      default:
        break;
    }
    if (brackets > depthMax || row > depthMax || inside > depthMax) {
      return { offset, message: tooDeep };
    }
    offset += lexeme.length;
  }
  return undefined;
}

function findRefused(
  document: Document.Parsed,
  at: (offset: number, message: string, hint?: string) => ErrorPlace,
): ErrorPlace[] {
  const places: ErrorPlace[] = [];
  visit(document, {
    Node(_key, node, path) {
      if (path.length > depthMax * 2) {
        places.push(at(startOf(node), tooDeep));
        return visit.SKIP;
      }
      return places.length >= placesMax ? visit.BREAK : undefined;
    },
    Map(_key, map) {
      const seen = new Set<unknown>();
      for (const { key } of map.items) {
        if (!isScalar(key)) continue;
        if (seen.has(key.value))
          places.push(at(startOf(key), `key ${shown(key.value)} is there twice`));
        seen.add(key.value);
      }
    },
    Pair(_key, pair) {
      const key = pair.key;
      const offset = isNode(key) ? startOf(key) : 0;
      if (!isScalar(key) || typeof key.value !== 'string') {
        places.push(at(offset, 'a key must be text', 'put it in quotes'));
      } else if (key.value === '__proto__') {
        places.push(at(offset, 'the key __proto__ is not allowed'));
      }
      return places.length >= placesMax ? visit.BREAK : undefined;
    },
  });
  return places;
}

function nodeOffset(document: Document.Parsed, path: YamlPath): number {
  let here: unknown = document.contents;
  for (const part of path) {
    const next = step(here, part);
    if (!isNode(next)) break;
    here = next;
  }
  return isNode(here) ? startOf(here) : 0;
}

// A number also names the n-th pair of a map: drafts hold lists where files hold maps.
function step(node: unknown, part: string | number): unknown {
  if (isSeq(node)) return typeof part === 'number' ? node.items[part] : undefined;
  if (!isMap(node)) return undefined;
  const named = node.items.find((pair) => isScalar(pair.key) && pair.key.value === part);
  const pair = named ?? (typeof part === 'number' ? node.items[part] : undefined);
  return pair?.value ?? pair?.key;
}

function keyOffset(document: Document.Parsed, path: YamlPath, key: string): number {
  const map = document.getIn([...path], true);
  const holder = path.length === 0 ? document.contents : map;
  if (isCollection(holder)) {
    for (const item of holder.items) {
      if (isPair(item) && isScalar(item.key) && item.key.value === key) return startOf(item.key);
    }
  }
  return nodeOffset(document, path);
}

function shown(key: unknown): string {
  return typeof key === 'string' ? quoted(key) : String(key);
}

function startOf(node: Node): number {
  return node.range?.[0] ?? 0;
}

function firstLine(message: string): string {
  const line = message.split('\n', 1)[0] ?? '';
  return line.length > 200 ? quoted(line, 200) : line.charAt(0).toLowerCase() + line.slice(1);
}
