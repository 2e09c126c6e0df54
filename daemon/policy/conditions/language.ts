import { Environment } from '@marcbachmann/cel-js';
import { RE2JS } from 're2js';
import { assert } from '../../base/assert.ts';
import {
  inputTable,
  textMax,
  type InputField,
  type InputNode,
  type InputObject,
  type PolicyInput,
} from '../input.ts';
import { verdictTable, type Verdict } from '../invariants/verdict.ts';

/** What a condition is evaluated with: the input, in the types of CEL. Never edited afterwards. */
export type Context = Readonly<Record<string, unknown>>;

/** Which parts of the input a condition may look at. */
export type ConditionKind = 'rule' | 'profile' | 'invariant';

/** What a condition of that kind can look at, by its first word. */
export function tableOf(kind: ConditionKind): Readonly<Record<string, InputNode>> {
  return kind === 'invariant' ? { ...inputTable, ...verdictTable } : inputTable;
}

type Class = new () => object;

/**
 * CEL over the input of policies, with linear regular expressions. An environment remembers every
 * pattern that it compiled, so it lives as long as one document.
 */
export type Language = {
  of(kind: ConditionKind): Environment;
  /** The input as CEL sees it. `profile` stands in it as the document's own choice. Throws on what is not of its type. */
  context(input: PolicyInput, verdict?: Verdict): Context;
};

export function openLanguage(patterns: Patterns): Language {
  const classes = new Map<object, Class>();
  return {
    of: (kind) => environment(kind, classes, patterns),
    context(input, verdict) {
      const all: Readonly<Record<string, unknown>> = { ...input, ...verdict };
      const table = tableOf(verdict === undefined ? 'rule' : 'invariant');
      return Object.fromEntries(
        Object.entries(table).map(([name, node]) => [
          name,
          valueOf(node, all[name], name, classes),
        ]),
      );
    },
  };
}

/** A part of the input that profiles cannot look at, by its path. */
export function isHidden(kind: ConditionKind, path: readonly string[]): boolean {
  if (kind !== 'profile') return false;
  return (
    path[0] === 'spec' ||
    path[0] === 'history' ||
    ['task.limits', 'run.plan'].includes(path.join('.'))
  );
}

const limits = {
  maxAstNodes: 400,
  maxDepth: 24,
  maxListElements: 128,
  maxMapEntries: 0,
  maxCallArguments: 3,
};

/** The method that `matches` becomes: the library's own would be a regular expression of JavaScript. */
export const linearMatch = 'matchesInLinearTime';

function environment(
  kind: ConditionKind,
  classes: Map<object, Class>,
  patterns: Patterns,
): Environment {
  const made = new Environment({ limits });
  for (const [name, node] of Object.entries(tableOf(kind))) {
    if (isHidden(kind, [name])) continue;
    made.registerVariable(name, declare(made, kind, [name], node, classes));
  }
  made.registerFunction(`string.${linearMatch}(string): bool`, (text: string, pattern: string) =>
    patterns.test(pattern, text),
  );
  return made;
}

function declare(
  made: Environment,
  kind: ConditionKind,
  path: readonly string[],
  node: InputNode,
  classes: Map<object, Class>,
): string {
  if (isField(node)) return typeOf(node);
  const name = path.map((part) => part.charAt(0).toUpperCase() + part.slice(1)).join('');
  const inner = 'list' in node ? node.list : node.fields;
  const fields = Object.fromEntries(
    Object.entries(inner)
      .filter(([key]) => !isHidden(kind, [...path, key]))
      .map(([key, each]) => [key, declare(made, kind, [...path, key], each, classes)]),
  );
  made.registerType(name, { ctor: classOf(node, classes), fields });
  return 'list' in node ? `list<${name}>` : name;
}

const types = {
  int: 'int',
  bool: 'bool',
  string: 'string',
  strings: 'list<string>',
  map: 'map<string, string>',
} as const;

function typeOf([type]: InputField): string {
  return types[type];
}

// The library tells types apart by their constructors.
function classOf(node: object, classes: Map<object, Class>): Class {
  const known = classes.get(node);
  if (known !== undefined) return known;
  const made = class {
    readonly isInput = true;
  };
  classes.set(node, made);
  return made;
}

function valueOf(
  node: InputNode,
  value: unknown,
  path: string,
  classes: Map<object, Class>,
): unknown {
  if (isField(node)) return fieldOf(node, value, path);
  if ('list' in node) {
    assert(Array.isArray(value) && value.length <= node.max, `${path} is not a list`);
    return value.map((each) => objectOf(node, node.list, each, path, classes));
  }
  return objectOf(node, node.fields, value, path, classes);
}

function objectOf(
  node: object,
  fields: InputObject['fields'],
  value: unknown,
  path: string,
  classes: Map<object, Class>,
): object {
  assert(typeof value === 'object' && value !== null, `${path} is missing`);
  const made = new (classOf(node, classes))() as Record<string, unknown>;
  for (const [key, each] of Object.entries(fields)) {
    made[key] = valueOf(each, (value as Record<string, unknown>)[key], `${path}.${key}`, classes);
  }
  return made;
}

function fieldOf([type, , max = 0]: InputField, value: unknown, path: string): unknown {
  switch (type) {
    case 'int':
      assert(Number.isSafeInteger(value), `${path} is not a whole number`);
      return BigInt(value as number);
    case 'bool':
      assert(typeof value === 'boolean', `${path} is not true or false`);
      return value;
    case 'string':
      assert(isText(value), `${path} is not a text, or too long`);
      return value;
    case 'strings':
      assert(Array.isArray(value) && value.length <= max, `${path} is not a list, or too long`);
      assert(value.every(isText), `${path} holds what is not a text, or too long`);
      return value;
    case 'map': {
      assert(typeof value === 'object' && value !== null, `${path} is missing`);
      const entries = Object.entries(value);
      assert(entries.length <= max, `${path} is too long`);
      assert(
        entries.every(([, each]) => isText(each)),
        `${path} holds what is not a text`,
      );
      // A Map knows no names but those that were set.
      return new Map(entries);
    }
  }
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value.length <= textMax;
}

function isField(node: InputNode): node is InputField {
  return Array.isArray(node);
}

/** The regular expressions of one document: each compiled once, when the document is checked. */
export class Patterns {
  readonly #known = new Map<string, RE2JS>();
  #left = workMax;

  /** Undefined where it can be used, else why not. */
  problem(pattern: string): string | undefined {
    if (pattern.length > patternMax) return `longer than ${patternMax} characters`;
    try {
      const compiled = this.#compiled(pattern);
      return compiled.programSize() > programMax ? 'too large' : undefined;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      return reason.replace(/^error parsing regexp: /, '').slice(0, 160);
    }
  }

  /** How much work a character of text is. */
  sizeOf(pattern: string): number {
    return this.#compiled(pattern).programSize();
  }

  /** A judgement begins. */
  begin(): void {
    this.#left = workMax;
  }

  /** Throws where all texts of one judgement come to too much: then its rule cannot be judged. */
  test(pattern: string, text: string): boolean {
    const compiled = this.#compiled(pattern);
    this.#left -= compiled.programSize() * (text.length + 1);
    assert(this.#left >= 0, 'too much text for the patterns of one document');
    return compiled.matcher(text).find();
  }

  #compiled(pattern: string): RE2JS {
    const known = this.#known.get(pattern);
    if (known !== undefined) return known;
    const made = RE2JS.compile(pattern);
    this.#known.set(pattern, made);
    return made;
  }
}

const patternMax = 256;
const programMax = 300;
/** Characters times steps of programs: a part of a second, at the worst. */
const workMax = 20_000_000;
