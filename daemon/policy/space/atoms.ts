import type { ASTNode } from '@marcbachmann/cel-js';

export type Literal = string | bigint | boolean;

/**
 * What a condition asks about one place of the input. `path` are the words to it; `[]` stands for
 * every element of a list, and a key of a map is a word of its own.
 *
 * `is`, `order`, `holds` and `truth` are asked so that a few values of the place stand for all that
 * there are; of `text` and `other` nobody can say that.
 */
export type Atom = { path: readonly string[] } & (
  | { ask: 'is' | 'order' | 'holds' | 'size'; literals: readonly Literal[] }
  | { ask: 'text'; how: 'startsWith' | 'endsWith' | 'contains' | 'matches'; literal: string }
  | { ask: 'truth' | 'has' }
  | { ask: 'other'; literals: readonly Literal[] }
);

export const anyElement = '[]';

/** Everything that a condition asks about its input. Never throws on what the parser accepted. */
export function atomsOf(ast: ASTNode): Atom[] {
  const atoms: Atom[] = [];
  walk(ast, { bound: new Map(), found: (atom) => atoms.push(atom) });
  return atoms;
}

/** The words to a place of the input, where an expression names one. */
export type Place = readonly string[] | undefined;
type Scope = { bound: ReadonlyMap<string, Place>; found: (atom: Atom) => void };

const quantifiers = new Set(['exists', 'all', 'exists_one', 'filter', 'map']);
const textual = ['startsWith', 'endsWith', 'contains', 'matches'] as const;
const orders = new Set<string>(['<', '<=', '>', '>=']);

function walk(node: ASTNode, scope: Scope): void {
  switch (node.op) {
    case '&&':
    case '||':
    case '?:':
      for (const part of node.args) walk(part, scope);
      return;
    case '!_':
      walk(node.args, scope);
      return;
    case '==':
    case '!=':
    case '<':
    case '<=':
    case '>':
    case '>=':
      compare(node.op, node.args, scope);
      return;
    case 'in':
      membership(node.args, scope);
      return;
    case 'rcall':
      receiverCall(node.args, scope);
      return;
    case 'call':
      if (node.args[0] === 'has') has(node.args[1][0], scope);
      else unclear(node, scope);
      return;
    case 'id':
    case '.':
    case '[]': {
      const path = placeOf(node, scope.bound);
      if (path !== undefined) scope.found({ path, ask: 'truth' });
      else unclear(node, scope);
      return;
    }
    case 'value':
      return;
    default:
      unclear(node, scope);
  }
}

function compare(op: string, [left, right]: [ASTNode, ASTNode], scope: Scope): void {
  for (const [one, other] of [
    [left, right],
    [right, left],
  ] as const) {
    const literal = literalOf(other);
    if (literal === undefined) continue;
    const path = placeOf(one, scope.bound);
    if (path !== undefined) {
      scope.found({ path, ask: orders.has(op) ? 'order' : 'is', literals: [literal] });
      return;
    }
    const sized = sizedPlace(one, scope.bound);
    if (sized !== undefined) {
      scope.found({ path: sized, ask: 'size', literals: [literal] });
      return;
    }
  }
  const literals = [left, right].flatMap(literalsIn);
  unclear(left, scope, literals);
  unclear(right, scope, literals);
}

function membership([left, right]: [ASTNode, ASTNode], scope: Scope): void {
  const path = placeOf(left, scope.bound);
  const literal = literalOf(left);
  const container = placeOf(right, scope.bound);
  if (path !== undefined && right.op === 'list') {
    const literals = right.args.map(literalOf);
    if (literals.every((one) => one !== undefined)) {
      scope.found({ path, ask: 'is', literals });
      return;
    }
  }
  if (literal !== undefined && container !== undefined) {
    scope.found({ path: container, ask: 'holds', literals: [literal] });
    return;
  }
  const literals = [left, right].flatMap(literalsIn);
  unclear(left, scope, literals);
  unclear(right, scope, literals);
}

function receiverCall([name, receiver, args]: [string, ASTNode, ASTNode[]], scope: Scope): void {
  const path = placeOf(receiver, scope.bound);
  const [first, ...others] = args;
  const how = textual.find((one) => one === name);
  const literal = first === undefined ? undefined : literalOf(first);
  if (how !== undefined && path !== undefined && typeof literal === 'string') {
    scope.found({ path, ask: 'text', how, literal });
    return;
  }
  if (quantifiers.has(name) && first?.op === 'id') {
    if (path === undefined) unclear(receiver, scope);
    else if (name === 'exists_one' || name === 'filter' || name === 'map') {
      scope.found({ path, ask: 'other', literals: [] });
    }
    const element = path === undefined ? undefined : [...path, anyElement];
    const bound = new Map([...scope.bound, [first.args, element] as const]);
    for (const body of others) walk(body, { ...scope, bound });
    return;
  }
  const literals = [receiver, ...args].flatMap(literalsIn);
  for (const part of [receiver, ...args]) unclear(part, scope, literals);
}

function has(node: ASTNode | undefined, scope: Scope): void {
  const path = node && placeOf(node, scope.bound);
  if (path !== undefined) scope.found({ path, ask: 'has' });
}

/** Every place that is named anywhere in it, with the literals beside. */
function unclear(node: ASTNode, scope: Scope, near: readonly Literal[] = literalsIn(node)): void {
  const path = placeOf(node, scope.bound);
  if (path !== undefined) {
    scope.found({ path, ask: 'other', literals: near });
    return;
  }
  for (const child of childrenOf(node)) unclear(child, scope, near);
}

/** `bound` are the names that stand for elements of lists. */
export function placeOf(node: ASTNode, bound: ReadonlyMap<string, Place>): Place {
  if (node.op === 'id') return bound.has(node.args) ? bound.get(node.args) : [node.args];
  if (node.op === '.') {
    const above = placeOf(node.args[0], bound);
    return above && [...above, node.args[1]];
  }
  if (node.op === '[]') {
    const [holder, key] = node.args;
    const above = placeOf(holder, bound);
    if (above === undefined || key.op !== 'value') return undefined;
    return typeof key.args === 'string' ? [...above, key.args] : [...above, anyElement];
  }
  return undefined;
}

export function sizedPlace(node: ASTNode, bound: ReadonlyMap<string, Place>): Place {
  if (node.op === 'call' && node.args[0] === 'size') {
    const [of] = node.args[1];
    return of && placeOf(of, bound);
  }
  if (node.op === 'rcall' && node.args[0] === 'size') return placeOf(node.args[1], bound);
  return undefined;
}

export function literalOf(node: ASTNode): Literal | undefined {
  if (node.op === '-_') {
    const inner = literalOf(node.args);
    return typeof inner === 'bigint' ? -inner : undefined;
  }
  if (node.op !== 'value') return undefined;
  const { args } = node;
  return typeof args === 'string' || typeof args === 'bigint' || typeof args === 'boolean'
    ? args
    : undefined;
}

function literalsIn(node: ASTNode): Literal[] {
  const own = literalOf(node);
  return own === undefined ? childrenOf(node).flatMap(literalsIn) : [own];
}

function childrenOf(node: ASTNode): readonly ASTNode[] {
  switch (node.op) {
    case 'value':
    case 'id':
      return [];
    case '.':
    case '.?':
      return [node.args[0]];
    case '!_':
    case '-_':
      return [node.args];
    case 'call':
      return node.args[1];
    case 'rcall':
      return [node.args[1], ...node.args[2]];
    case 'map':
      return node.args.flat();
    case 'list':
      return node.args;
    default:
      return node.args;
  }
}
