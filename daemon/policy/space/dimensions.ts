import { inputTable, type InputNode, type InputType } from '../input.ts';
import { anyElement, type Atom, type Literal } from './atoms.ts';
import { exampleOf } from './example.ts';

/** `undefined` is a key of a map that is not there. */
export type Value = string | number | boolean | readonly string[] | undefined | readonly Mount[];
type Mount = { kind: string; target: string; readonly: boolean };

/** A place of the input and the values that are tried there. */
export type Dimension = {
  path: readonly string[];
  values: readonly Value[];
  /** Every value that there is behaves, for the conditions asked, as one of these does. */
  complete: boolean;
};

/** Values that are of interest whatever conditions say: names that stand in the lists of documents. */
export type Hints = Readonly<Record<string, readonly string[]>>;

const literalsMax = 5;
const valuesMax = 64;

/** The places that conditions look at. `unclear` says that some of it cannot be told apart by values. */
export function dimensionsOf(
  atoms: readonly Atom[],
  hints: Hints = {},
): { dimensions: Dimension[]; unclear: boolean } {
  const places = new Map<string, { path: readonly string[]; type: InputType; atoms: Atom[] }>();
  let unclear = false;
  const place = (path: readonly string[], type: InputType) => {
    const key = path.join('\0');
    const known = places.get(key);
    if (known) return known;
    const made = { path, type, atoms: [] };
    places.set(key, made);
    return made;
  };
  for (const [path, names] of Object.entries(hints)) {
    const found = locate(path.split('.'));
    if (found === undefined) continue;
    const literals = names.slice(0, valuesMax);
    place(found.path, found.type).atoms.push({
      path: found.path,
      ask: found.type === 'strings' ? 'holds' : 'is',
      literals,
    });
  }
  for (const atom of atoms) {
    const found = locate(atom.path);
    if (found === undefined) {
      unclear = true;
      continue;
    }
    if (found.whole === true) {
      // `'NAME' in task.env` is a question about that name.
      if (atom.ask !== 'holds') unclear = true;
      for (const literal of 'literals' in atom ? atom.literals : []) {
        if (typeof literal !== 'string') continue;
        place([...found.path, literal], 'map').atoms.push({ path: atom.path, ask: 'has' });
      }
      continue;
    }
    if (found.mounts) unclear = true;
    place(found.path, found.type).atoms.push(atom);
  }
  const dimensions = [...places.values()].map(({ path, type, atoms: asked }) => {
    const { values, complete } = valuesFor(type, path, asked);
    return {
      path,
      values: values.slice(0, valuesMax),
      complete: complete && values.length <= valuesMax,
    };
  });
  return { dimensions: dimensions.filter(({ values }) => values.length > 0), unclear };
}

/** The place of the input that holds what a path leads to; undefined where there is none. */
export function locate(
  path: readonly string[],
): { path: readonly string[]; type: InputType; mounts?: true; whole?: true } | undefined {
  let node: InputNode | { fields: Readonly<Record<string, InputNode>> } = { fields: inputTable };
  for (const [i, word] of path.entries()) {
    if ('list' in node) return { path: path.slice(0, i), type: 'strings', mounts: true };
    if (!('fields' in node)) {
      const type: InputType = node[0];
      // An element of a list belongs to the list; a key of a map is a place of its own.
      if (type === 'strings') return { path: path.slice(0, i), type };
      return type === 'map' && word !== anyElement
        ? { path: path.slice(0, i + 1), type }
        : undefined;
    }
    if (!Object.hasOwn(node.fields, word)) return undefined;
    const next: InputNode | undefined = node.fields[word];
    if (next === undefined) return undefined;
    node = next;
  }
  if ('list' in node) return { path, type: 'strings', mounts: true };
  if ('fields' in node) return undefined;
  const [type] = node;
  return type === 'map' ? { path, type, whole: true } : { path, type };
}

function valuesFor(
  type: InputType,
  path: readonly string[],
  atoms: readonly Atom[],
): { values: Value[]; complete: boolean } {
  if (path.join('.') === 'spec.mounts') return { values: mountValues(atoms), complete: false };
  switch (type) {
    case 'bool':
      return { values: [false, true], complete: true };
    case 'int':
      return numbers(path, atoms);
    case 'string':
    case 'map': {
      const { values, complete } = strings(path, atoms);
      // A name of a map may be missing as well.
      return { values: type === 'map' ? [undefined, ...values] : values, complete };
    }
    case 'strings':
      return lists(atoms);
  }
}

function numbers(
  path: readonly string[],
  atoms: readonly Atom[],
): { values: number[]; complete: boolean } {
  const found = unique(literalsOf(atoms).filter((one) => typeof one === 'bigint')).map(Number);
  const around = found.flatMap((one) => [one, one - 1, one + 1]);
  const least = path.join('.') === 'actor.uid' ? -1 : 0;
  const values = unique(found.length === 0 ? [0, 1, 1000] : around).filter((one) => one >= least);
  const simple = atoms.every(({ ask }) => ask === 'is' || ask === 'order');
  return {
    values,
    complete: simple && found.length > 0 && found.every(Number.isSafeInteger),
  };
}

function strings(
  path: readonly string[],
  atoms: readonly Atom[],
): { values: string[]; complete: boolean } {
  const literals = texts(literalsOf(atoms));
  const made = atoms.flatMap((atom) => (atom.ask === 'text' ? examplesFor(atom) : []));
  const fixed = fixedWords[path.join('.')];
  if (fixed !== undefined) return { values: unique([...fixed, ...literals]), complete: true };
  const simple = atoms.every(({ ask }) => ask === 'is' || ask === 'has' || ask === 'truth');
  const words = unique([...literals, ...made]);
  return { values: [...words, fresh(words)], complete: simple };
}

/** Places that hold one of a few words, whatever happens. */
const fixedWords: Readonly<Record<string, readonly string[]>> = {
  'spec.image.origin': ['pulled', 'assembled'],
};

function lists(atoms: readonly Atom[]): { values: (readonly string[])[]; complete: boolean } {
  const words = unique([
    ...texts(literalsOf(atoms.filter(({ ask }) => ask !== 'size'))),
    ...atoms.flatMap((atom) => (atom.ask === 'text' ? examplesFor(atom) : [])),
  ]);
  const sizes = atoms.flatMap((atom) =>
    atom.ask === 'size' ? atom.literals.filter((one) => typeof one === 'bigint').map(Number) : [],
  );
  // Whether there is any is told by the sets below; how many there are is not.
  const simple = atoms.every(
    ({ ask, path }) =>
      ask === 'holds' ||
      (ask === 'is' && path.at(-1) === anyElement) ||
      (ask === 'size' && sizes.every((size) => size === 0)),
  );
  const other = fresh(words);
  const isSmall = words.length <= literalsMax;
  const sets = isSmall
    ? subsets([...words, other])
    : [
        [],
        [other],
        ...words.map((word) => [word]),
        words.slice(0, valuesMax - 8),
        [words[0] ?? other, other],
      ];
  const padded = unique(sizes.flatMap((size) => [size - 1, size, size + 1]))
    .filter((size) => size >= 0 && size <= 64)
    .map((size) => Array.from({ length: size }, (_, i) => words[i] ?? `${other}-${i}`));
  const all = new Map([...sets, ...padded].map((set) => [JSON.stringify(set), set]));
  return { values: [...all.values()], complete: simple && isSmall };
}

function subsets(words: readonly string[]): string[][] {
  return words
    .reduce<string[][]>((sets, word) => sets.concat(sets.map((set) => [...set, word])), [[]])
    .toSorted((a, b) => a.length - b.length);
}

function mountValues(atoms: readonly Atom[]): (readonly Mount[])[] {
  const words = texts(literalsOf(atoms));
  const target = words.find((word) => word.startsWith('/')) ?? '/opt/npm-cache';
  return [
    [],
    ...['overlay', 'volume', 'bind', 'tmpfs'].flatMap((kind) =>
      [true, false].map((readonly) => [{ kind, target, readonly }]),
    ),
  ];
}

function examplesFor({ how, literal }: { how: string; literal: string }): string[] {
  switch (how) {
    case 'startsWith':
      return [literal, `${literal}x`];
    case 'endsWith':
      return [literal, `x${literal}`];
    case 'contains':
      return [literal, `x${literal}x`];
    default: {
      const example = exampleOf(literal);
      return example === undefined ? [] : [example];
    }
  }
}

function literalsOf(atoms: readonly Atom[]): Literal[] {
  return atoms.flatMap((atom) => ('literals' in atom ? atom.literals : []));
}

function texts(literals: readonly Literal[]): string[] {
  return unique(literals.filter((one) => typeof one === 'string'));
}

/** A word that none of the others is, nor begins or ends like. */
function fresh(words: readonly string[]): string {
  let word = 'other';
  while (words.some((one) => one === word)) word += '-other';
  return word;
}

function unique<T>(items: readonly T[]): T[] {
  return [...new Set(items)];
}
