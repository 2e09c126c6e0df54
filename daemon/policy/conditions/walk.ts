import type { ASTNode } from '@marcbachmann/cel-js';
import { textMax, type InputNode } from '../input.ts';
import { isHidden, linearMatch, tableOf, type ConditionKind, type Patterns } from './language.ts';

export type Problem = { offset: number; message: string; hint?: string };

/**
 * The part of CEL that policies speak, and what a condition can cost. CEL itself has no loops without
 * an end, but doubles texts in nested bindings, compiles patterns out of data and multiplies lists;
 * here the only functions are those below, and the number of steps is known before the first one.
 *
 * It stands before the check of types and makes `matches` a method of our own.
 */
export function walk(
  root: ASTNode,
  kind: ConditionKind,
  patterns: Patterns,
): { problems: Problem[]; steps: number } {
  const problems: Problem[] = [];
  const refuse = (node: ASTNode, message: string, hint?: string): Shape => {
    problems.push({ offset: node.start, message, ...(hint === undefined ? {} : { hint }) });
    return scalar;
  };
  const shape = visit(root, {
    kind,
    patterns,
    refuse,
    variables: new Map(),
    nested: 0,
  });
  return { problems, steps: shape.steps };
}

/** At most so many elements, so many characters in each, and so many steps to get there. */
type Shape = { items: number; chars: number; steps: number };

const scalar: Shape = { items: 0, chars: 0, steps: 1 };
const nestedMax = 2;

type Walk = {
  kind: ConditionKind;
  patterns: Patterns;
  refuse(node: ASTNode, message: string, hint?: string): Shape;
  /** What stands for an element in a comprehension, with the characters that it may have. */
  variables: ReadonlyMap<string, Shape>;
  nested: number;
};

const functions = ['has', 'size'];
const methods = ['startsWith', 'endsWith', 'contains', 'matches', 'size', 'lowerAscii'];
const comprehensions = ['all', 'exists', 'exists_one', 'filter', 'map'];

function visit(node: ASTNode, at: Walk): Shape {
  switch (node.op) {
    case 'value':
      return literal(node, node.args, at);
    case 'id':
      return variable(node, node.args, at);
    case '.':
      return field(node, at);
    case '[]': {
      const [list, index] = node.args;
      const path = pathOf(list);
      const found = path === undefined ? undefined : nodeAt(path, at);
      if (typeof found === 'object' && 'fields' in found) {
        return at.refuse(node, 'a field is named with a dot', `write ${path?.join('.')}.name`);
      }
      const [a, b] = [visit(list, at), visit(index, at)];
      return { items: 0, chars: a.chars, steps: a.steps + b.steps + 1 };
    }
    case 'call':
      return call(node, node.args[0], node.args[1], at);
    case 'rcall':
      return method(node, at);
    case 'list':
      return list(node.args, at);
    case '?:':
      return either(node.args, at);
    case '!_':
    case '-_':
      return { ...scalar, steps: visit(node.args, at).steps + 1 };
    case '+': {
      const [a, b] = node.args.map((each) => visit(each, at)) as [Shape, Shape];
      const chars = a.items + b.items > 0 ? Math.max(a.chars, b.chars) : a.chars + b.chars;
      const items = a.items + b.items;
      return { items, chars, steps: a.steps + b.steps + 1 + items + words(chars) };
    }
    case '==':
    case '!=':
    case 'in':
    case '<':
    case '<=':
    case '>':
    case '>=': {
      const [a, b] = node.args.map((each) => visit(each, at)) as [Shape, Shape];
      const items = Math.max(1, a.items, b.items);
      return { ...scalar, steps: a.steps + b.steps + items };
    }
    case '&&':
    case '||':
    case '-':
    case '*':
    case '/':
    case '%': {
      const [a, b] = node.args.map((each) => visit(each, at)) as [Shape, Shape];
      return { ...scalar, steps: a.steps + b.steps + 1 };
    }
    default:
      return at.refuse(node, `${wordFor(node.op)} is not part of the language of policies`);
  }
}

function literal(node: ASTNode, value: unknown, at: Walk): Shape {
  switch (typeof value) {
    case 'string':
      return { items: 0, chars: value.length, steps: 1 };
    case 'boolean':
    case 'bigint':
      return scalar;
    case 'number':
      return at.refuse(node, 'numbers are whole numbers here', 'write 2000 milliseconds, not 2.0');
    default:
      return at.refuse(node, 'texts, whole numbers, true and false are all the values there are');
  }
}

function variable(node: ASTNode, name: string, at: Walk): Shape {
  const bound = at.variables.get(name);
  if (bound !== undefined) return bound;
  const table = tableOf(at.kind);
  if (Object.hasOwn(table, name)) {
    const found = table[name];
    if (!isHidden(at.kind, [name])) return found === undefined ? scalar : shapeOf(found);
    return at.refuse(node, `${name} is not known yet when a profile is chosen`);
  }
  const known = Object.keys(table).filter((each) => !isHidden(at.kind, [each]));
  return at.refuse(node, `unknown variable ${shown(name)}`, `known: ${known.join(', ')}`);
}

function field(node: ASTNode & { op: '.' }, at: Walk): Shape {
  const [inner, key] = node.args;
  const path = pathOf(node);
  const found = path === undefined ? undefined : nodeAt(path, at);
  if (found === 'hidden') {
    return at.refuse(node, `${path?.join('.') ?? key} is not known yet when a profile is chosen`);
  }
  const { steps } = visit(inner, at);
  if (found === undefined) return { ...anyText, steps: steps + 1 };
  if (found === 'unknown') {
    // The check of types says it where the path does not begin at the input.
    const above = path === undefined ? undefined : nodeAt(path.slice(0, -1), at);
    const names = typeof above === 'object' && 'fields' in above ? Object.keys(above.fields) : [];
    const hint = names.length === 0 ? undefined : `known: ${names.join(', ')}`;
    return at.refuse(node, `unknown field ${shown(key)}`, hint);
  }
  return { ...shapeOf(found), steps: steps + 1 };
}

const anyText: Shape = { items: 0, chars: textMax, steps: 1 };

function shapeOf(node: InputNode): Shape {
  if (!Array.isArray(node)) {
    return 'max' in node ? { items: node.max, chars: textMax, steps: 1 } : scalar;
  }
  const [type, , max = 0] = node as readonly [string, string, number?];
  if (type === 'string') return anyText;
  return type === 'strings' || type === 'map' ? { items: max, chars: textMax, steps: 1 } : scalar;
}

/** `task.limits.pids` as its parts, where it begins at the input. */
function pathOf(node: ASTNode): string[] | undefined {
  if (node.op === 'id') return [node.args];
  if (node.op !== '.') return undefined;
  const above = pathOf(node.args[0]);
  return above === undefined ? undefined : [...above, node.args[1]];
}

function nodeAt(path: readonly string[], at: Walk): InputNode | 'unknown' | 'hidden' | undefined {
  const [first = ''] = path;
  const found = at.variables.has(first) ? undefined : tableOf(at.kind)[first];
  if (found === undefined) return undefined;
  let here: InputNode = found;
  for (const [i, part] of path.slice(1).entries()) {
    if (isHidden(at.kind, path.slice(0, i + 2))) return 'hidden';
    // Names of variables that a plan sets.
    if (Array.isArray(here))
      return (here as readonly string[])[0] === 'map' ? textField : undefined;
    if (!('fields' in here) || !Object.hasOwn(here.fields, part)) return 'unknown';
    here = here.fields[part] ?? textField;
  }
  return here;
}

const textField = ['string', ''] as const;

function call(node: ASTNode, name: string, args: readonly ASTNode[], at: Walk): Shape {
  if (!functions.includes(name)) {
    return at.refuse(node, `unknown function ${shown(name)}`, `known: ${functions.join(', ')}`);
  }
  if (name === 'has') return has(node, args, at);
  return { ...scalar, steps: sum(args.map((arg) => visit(arg, at))) + words(textMax) };
}

/** Everything else of the input is always there, and a name that is not would never be noticed. */
function has(node: ASTNode, args: readonly ASTNode[], at: Walk): Shape {
  const path = args[0] === undefined ? undefined : pathOf(args[0]);
  const above = path === undefined ? undefined : nodeAt(path.slice(0, -1), at);
  const isMap = Array.isArray(above) && (above as readonly string[])[0] === 'map';
  if (isMap) return { ...scalar, steps: 3 };
  return at.refuse(node, 'has() is for task.env alone: everything else is always there');
}

function method(node: ASTNode & { op: 'rcall' }, at: Walk): Shape {
  const [name, receiver, args] = node.args;
  if (comprehensions.includes(name)) return comprehension(node, at);
  if (!methods.includes(name)) {
    const known = [...methods, ...comprehensions].join(', ');
    return at.refuse(node, `unknown method ${shown(name)}`, `known: ${known}`);
  }
  const inner = visit(receiver, at);
  const steps = inner.steps + sum(args.map((arg) => visit(arg, at))) + 1;
  if (name === 'matches') return matches(node, inner, steps, at);
  if (name === 'lowerAscii') return { ...inner, steps: steps + words(inner.chars) };
  return { ...scalar, steps: steps + words(inner.chars) };
}

function matches(node: ASTNode & { op: 'rcall' }, inner: Shape, steps: number, at: Walk): Shape {
  const [, receiver, args] = node.args;
  const [pattern] = args;
  if (pattern?.op !== 'value' || typeof pattern.args !== 'string') {
    return at.refuse(pattern ?? node, 'a pattern has to be written out, as text in quotes');
  }
  const problem = at.patterns.problem(pattern.args);
  if (problem !== undefined) {
    const hint = 'patterns are RE2: no look-around, no back-references';
    return at.refuse(pattern, `the pattern cannot be used: ${problem}`, hint);
  }
  (node as { args: unknown }).args = [linearMatch, receiver, args];
  return { ...scalar, steps: steps + at.patterns.sizeOf(pattern.args) * words(inner.chars) };
}

function comprehension(node: ASTNode & { op: 'rcall' }, at: Walk): Shape {
  const [name, receiver, args] = node.args;
  const [element, ...bodies] = args;
  const over = visit(receiver, at);
  if (element?.op !== 'id' || bodies.length === 0) {
    return at.refuse(node, `${name} takes a name and a condition: list.${name}(x, x != "")`);
  }
  if (Object.hasOwn(tableOf(at.kind), element.args) || at.variables.has(element.args)) {
    return at.refuse(element, `${shown(element.args)} is another name already`);
  }
  if (at.nested >= nestedMax) {
    return at.refuse(node, `lists are looked through in each other ${nestedMax} deep at most`);
  }
  const variables = new Map(at.variables);
  variables.set(element.args, { items: 0, chars: over.chars, steps: 1 });
  const inner = { ...at, variables, nested: at.nested + 1 };
  const shapes = bodies.map((body) => visit(body, inner));
  const items = Math.max(1, over.items);
  const steps = over.steps + items * (sum(shapes) + 1);
  if (name === 'filter') return { ...over, steps };
  if (name === 'map') return { items, chars: shapes.at(-1)?.chars ?? 0, steps };
  return { ...scalar, steps };
}

function list(items: readonly ASTNode[], at: Walk): Shape {
  const shapes = items.map((each) => visit(each, at));
  const chars = Math.max(0, ...shapes.map((shape) => shape.chars));
  return { items: items.length, chars, steps: sum(shapes) + 1 };
}

function either(args: readonly [ASTNode, ASTNode, ASTNode], at: Walk): Shape {
  const [condition, ...branches] = args.map((each) => visit(each, at));
  const most = (of: (shape: Shape) => number) => Math.max(...branches.map(of));
  return {
    items: most(({ items }) => items),
    chars: most(({ chars }) => chars),
    steps: (condition?.steps ?? 0) + most(({ steps }) => steps) + 1,
  };
}

/** Steps over a text: it is looked through some hundred characters at a time. */
function words(chars: number): number {
  return Math.ceil(chars / 512);
}

function sum(shapes: readonly Shape[]): number {
  return shapes.reduce((all, { steps }) => all + steps, 0);
}

function wordFor(op: string): string {
  if (op === 'map') return 'a map written out';
  return op === '.?' || op === '[?]' ? 'an optional' : `"${op}"`;
}

function shown(name: string): string {
  return name.length > 48 ? `${name.slice(0, 47)}…` : name;
}
