import type { ASTNode } from '@marcbachmann/cel-js';
import type { InputType } from '../input.ts';
import { anyElement, literalOf, placeOf, sizedPlace, type Literal, type Place } from './atoms.ts';
import { locate, type Dimension, type Value } from './dimensions.ts';
import { exampleOf } from './example.ts';

/** What a place of the input should be for a condition to come out as wanted. */
type Wish = { path: readonly string[] } & (
  | { be: 'is' | 'not' | 'has' | 'starts' | 'ends' | 'contains'; value: Literal }
  | { be: 'least' | 'most' | 'sized'; value: bigint }
  | { be: 'there' | 'gone' | 'empty' }
);

type Scope = ReadonlyMap<string, Place>;

const waysMax = 12;

/**
 * Ways in which a condition comes out as wanted, each as places with one value. They are guesses that
 * whoever asks has to try: what the condition does not say by values is left as it is. They make long
 * chains of "and" true at once, where trying values one by one would take too long.
 */
export function waysTo(ast: ASTNode, want: boolean): Dimension[][] {
  return ways(ast, want, new Map()).map(dimensionsOf);
}

/** Both at once: of each place what the first one wants, then the second. */
export function together(a: readonly Dimension[], b: readonly Dimension[]): Dimension[] {
  const key = ({ path }: Dimension) => path.join('\0');
  const first = new Map(a.map((one) => [key(one), one]));
  const merged = b.flatMap((one): Dimension[] => {
    const other = first.get(key(one));
    if (other === undefined) return [one];
    const [x, y] = [other.values[0], one.values[0]];
    // Lists can hold what both want.
    if (!isWords(x) || !isWords(y)) return [];
    first.set(key(one), { ...one, values: [[...new Set([...x, ...y])]] });
    return [];
  });
  return [...first.values(), ...merged];
}

function isWords(value: Value): value is readonly string[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'string');
}

function ways(node: ASTNode, want: boolean, scope: Scope): Wish[][] {
  switch (node.op) {
    case 'value':
      return node.args === want ? [[]] : [];
    case '!_':
      return ways(node.args, !want, scope);
    case '&&':
      return want ? all(node.args, want, scope) : any(node.args, want, scope);
    case '||':
      return want ? any(node.args, want, scope) : all(node.args, want, scope);
    case '?:': {
      const [test, yes, no] = node.args;
      return [
        ...cross(ways(test, true, scope), ways(yes, want, scope)),
        ...cross(ways(test, false, scope), ways(no, want, scope)),
      ].slice(0, waysMax);
    }
    case '==':
    case '!=':
      return equal(node.args, (node.op === '==') === want, scope);
    case '<':
    case '<=':
    case '>':
    case '>=':
      return order(node.op, node.args, want, scope);
    case 'in':
      return member(node.args, want, scope);
    case 'rcall':
      return method(node.args, want, scope);
    case 'call': {
      const [name, [of]] = node.args;
      const path = name === 'has' && of !== undefined ? placeOf(of, scope) : undefined;
      return path === undefined ? [[]] : [[{ path, be: want ? 'there' : 'gone' }]];
    }
    default: {
      const path = placeOf(node, scope);
      return path === undefined ? [[]] : [[{ path, be: 'is', value: want }]];
    }
  }
}

function all(parts: readonly ASTNode[], want: boolean, scope: Scope): Wish[][] {
  return parts.reduce<Wish[][]>((found, part) => cross(found, ways(part, want, scope)), [[]]);
}

function any(parts: readonly ASTNode[], want: boolean, scope: Scope): Wish[][] {
  return parts.flatMap((part) => ways(part, want, scope)).slice(0, waysMax);
}

function cross(a: readonly Wish[][], b: readonly Wish[][]): Wish[][] {
  return a.flatMap((one) => b.map((other) => [...one, ...other])).slice(0, waysMax);
}

function equal([left, right]: [ASTNode, ASTNode], want: boolean, scope: Scope): Wish[][] {
  const [node, value] =
    literalOf(right) === undefined ? [right, literalOf(left)] : [left, literalOf(right)];
  if (value === undefined) return [[]];
  const path = placeOf(node, scope);
  if (path !== undefined) return [[{ path, be: want ? 'is' : 'not', value }]];
  const sized = sizedPlace(node, scope);
  if (sized === undefined || typeof value !== 'bigint') return [[]];
  return [[{ path: sized, be: 'sized', value: want ? value : value + 1n }]];
}

const turned = { '<': '>', '<=': '>=', '>': '<', '>=': '<=' } as const;
const opposite = { '<': '>=', '<=': '>', '>': '<=', '>=': '<' } as const;

function order(
  op: keyof typeof turned,
  [left, right]: [ASTNode, ASTNode],
  want: boolean,
  scope: Scope,
): Wish[][] {
  const isTurned = literalOf(right) === undefined;
  const value = literalOf(isTurned ? left : right);
  if (typeof value !== 'bigint') return [[]];
  const asked = isTurned ? turned[op] : op;
  const wanted = want ? asked : opposite[asked];
  const edge = wanted === '<' ? value - 1n : wanted === '>' ? value + 1n : value;
  const node = isTurned ? right : left;
  const path = placeOf(node, scope);
  const be = wanted.startsWith('<') ? 'most' : 'least';
  if (path !== undefined) return [[{ path, be, value: edge }]];
  const sized = sizedPlace(node, scope);
  return sized === undefined ? [[]] : [[{ path: sized, be: 'sized', value: edge }]];
}

function member([left, right]: [ASTNode, ASTNode], want: boolean, scope: Scope): Wish[][] {
  const path = placeOf(left, scope);
  if (path !== undefined && right.op === 'list') {
    const values = right.args.map(literalOf).filter((one) => one !== undefined);
    if (!want) return [values.map((value): Wish => ({ path, be: 'not', value }))];
    return values.slice(0, waysMax).map((value): Wish[] => [{ path, be: 'is', value }]);
  }
  const [value, holder] = [literalOf(left), placeOf(right, scope)];
  if (value === undefined || holder === undefined) return [[]];
  const isMap = locate(holder)?.whole === true;
  if (isMap) return [[{ path: [...holder, String(value)], be: want ? 'there' : 'gone' }]];
  return want ? [[{ path: holder, be: 'has', value }]] : [[]];
}

function method(
  [name, receiver, args]: [string, ASTNode, ASTNode[]],
  want: boolean,
  scope: Scope,
): Wish[][] {
  const path = placeOf(receiver, scope);
  const [first, body] = args;
  if (path === undefined || first === undefined) return [[]];
  const value = literalOf(first);
  if (typeof value === 'string' && want) {
    if (name === 'startsWith') return [[{ path, be: 'starts', value }]];
    if (name === 'endsWith') return [[{ path, be: 'ends', value }]];
    if (name === 'contains') return [[{ path, be: 'contains', value }]];
    const example = name === 'matches' ? exampleOf(value) : undefined;
    return example === undefined ? [[]] : [[{ path, be: 'is', value: example }]];
  }
  if (first.op !== 'id' || body === undefined) return [[]];
  const inner = new Map([...scope, [first.args, [...path, anyElement]] as const]);
  switch (name) {
    case 'exists':
    case 'exists_one':
      return want ? ways(body, true, inner) : [[{ path, be: 'empty' }]];
    case 'all':
      if (!want) return ways(body, false, inner);
      return [[{ path, be: 'empty' }], ...ways(body, true, inner)];
    default:
      return [[]];
  }
}

function dimensionsOf(wishes: readonly Wish[]): Dimension[] {
  const places = new Map<string, { path: readonly string[]; type: InputType; wishes: Wish[] }>();
  for (const wish of wishes) {
    const found = locate(wish.path);
    // What comes of a task cannot be wished for.
    if (found === undefined || found.whole === true || found.mounts === true) continue;
    const key = found.path.join('\0');
    const known = places.get(key) ?? { path: found.path, type: found.type, wishes: [] };
    known.wishes.push(wish);
    places.set(key, known);
  }
  return [...places.values()].map(({ path, type, wishes: of }) => {
    return { path, values: [valueOf(type, of)], complete: false };
  });
}

function valueOf(type: InputType, wishes: readonly Wish[]): Value {
  const said = (be: Wish['be']) =>
    wishes
      .filter((wish) => wish.be === be)
      .flatMap((wish) => ('value' in wish ? [wish.value] : []));
  switch (type) {
    case 'bool':
      return said('is')[0] !== false;
    case 'int': {
      const [exact] = said('is');
      const least = said('least').map(Number);
      const most = said('most').map(Number);
      const not = new Set(said('not').map(Number));
      if (exact !== undefined) return Number(exact);
      let value = least.length > 0 ? Math.max(...least) : Math.min(...most, 1);
      while (not.has(value)) value += 1;
      return value;
    }
    case 'strings': {
      const words = wishes.filter(({ path }) => path.at(-1) === anyElement);
      const element = words.length === 0 ? [] : [text(words)];
      const held = [...new Set([...said('has').map(String), ...element])];
      const size = Math.min(64, Number(said('sized')[0] ?? held.length));
      while (held.length < size) held.push(`other-${held.length}`);
      return held;
    }
    default:
      return wishes.some(({ be }) => be === 'gone') ? undefined : text(wishes);
  }
}

/** One text that has all of it: its beginning, its parts, its end. */
function text(wishes: readonly Wish[]): string {
  const said = (be: Wish['be']) =>
    wishes
      .filter((wish) => wish.be === be)
      .flatMap((wish) => ('value' in wish ? [String(wish.value)] : []));
  const [exact] = said('is');
  if (exact !== undefined) return exact;
  const longest = (all: string[]) => all.toSorted((a, b) => b.length - a.length)[0] ?? '';
  let made = longest(said('starts')) + said('contains').join('') + longest(said('ends'));
  const not = new Set(said('not'));
  if (made === '') made = 'other';
  while (not.has(made)) made += 'x';
  return made;
}
