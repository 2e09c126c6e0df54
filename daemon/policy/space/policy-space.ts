import { Environment, type ASTNode } from '@marcbachmann/cel-js';
import { limitNames, type Limits } from '#contract/limits.ts';
import { findTool } from '../../tools/index.ts';
import { allowsArgv } from '../argv.ts';
import type { EffectivePolicy, PolicyLists } from '../effective.ts';
import type { PolicyInput } from '../input.ts';
import { atomsOf, type Atom } from './atoms.ts';
import { defaultInput } from './default-input.ts';
import { dimensionsOf, type Dimension, type Hints } from './dimensions.ts';
import type { Space } from './inputs.ts';
import { waysTo } from './witness.ts';

export type Reader = {
  /** What a condition asks; one that cannot be read asks nothing. */
  atoms: (text: string) => readonly Atom[];
  /** Ways in which it may come out as wanted; none where it cannot be read. */
  waysTo: (text: string, want: boolean) => Dimension[][];
};

/** Reads conditions by their texts, each of them once. */
export function openReader(): Reader {
  const environment = new Environment();
  const known = new Map<string, { ast: ASTNode | undefined; atoms: readonly Atom[] }>();
  const read = (text: string) => {
    const found = known.get(text);
    if (found !== undefined) return found;
    const ast = parse(environment, text);
    const made = { ast, atoms: ast === undefined ? [] : atomsOf(ast) };
    known.set(text, made);
    return made;
  };
  return {
    atoms: (text) => read(text).atoms,
    waysTo: (text, want) => {
      const { ast } = read(text);
      return ast === undefined ? [] : waysTo(ast, want);
    },
  };
}

/** Every list of the policies: of each document, of each profile. */
export function listsIn(policies: readonly EffectivePolicy[]): PolicyLists[] {
  return policies.flatMap(({ documents }) =>
    documents.flatMap(({ standard, profiles }) => [
      standard,
      ...profiles.map(({ lists }) => lists),
    ]),
  );
}

/** Every condition that decides about tasks under the policies. */
export function conditionsIn(policies: readonly EffectivePolicy[]): string[] {
  const all = policies.flatMap(({ documents }) =>
    documents.flatMap(({ profiles, rules }) => [
      ...profiles.flatMap(({ when }) => when ?? []),
      ...(rules ?? []).map(({ when }) => when),
    ]),
  );
  return [...new Set(all)];
}

/**
 * The tasks that are worth trying under policies: an ordinary one that the lists allow, and what of
 * it conditions ask for, with the names that stand in lists. `complete`: every other task goes as
 * one of them, where all of them are tried.
 */
export function spaceOf(
  policies: readonly EffectivePolicy[],
  atoms: readonly Atom[],
  { withNames = true } = {},
): { space: Space; complete: boolean } {
  const lists = listsIn(policies);
  const base = baseFor(lists);
  const { dimensions, unclear } = dimensionsOf(atoms, withNames ? hintsOf(lists) : {});
  const hasPatterns = lists.some(({ argv }) => argv.length > 0);
  return {
    space: { base, dimensions, settle: settler(lists) },
    complete: !unclear && !hasPatterns && dimensions.every(({ complete }) => complete),
  };
}

/** A limit as the input of conditions names it. */
export function limitKey(name: keyof Limits): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function parse(environment: Environment, text: string): ASTNode | undefined {
  try {
    return environment.parse(text).ast;
  } catch {
    return undefined;
  }
}

/** A task that all the lists allow, as far as they have anything in common. */
function baseFor(lists: readonly PolicyLists[]): PolicyInput {
  const { spec, task } = defaultInput;
  const [first] = lists;
  const image =
    first?.images.find((one) => lists.every(({ images }) => has(images, one))) ?? first?.images[0];
  const common = (of: (one: PolicyLists) => readonly string[]) =>
    lists[0] && of(lists[0]).find((word) => lists.every((one) => of(one).includes(word)));
  const limits = Object.fromEntries(
    limitNames.map((name) => {
      const key = limitKey(name);
      const most = Math.min(...lists.map((one) => one.limits[name]));
      return [key, Math.min(most, (task.limits as Readonly<Record<string, number>>)[key] ?? most)];
    }),
  ) as PolicyInput['task']['limits'];
  const input: PolicyInput = {
    ...defaultInput,
    task: { ...task, tool: common(({ tools }) => tools) ?? task.tool, limits },
    spec: {
      ...spec,
      runtime: common(({ isolation }) => isolation.runtimes) ?? spec.runtime,
      image:
        image === undefined
          ? spec.image
          : {
              reference: image.reference,
              digest: image.digest === 'pinned' ? spec.image.digest : image.digest,
              origin: image.origins[0] ?? spec.image.origin,
            },
    },
  };
  return settler(lists)(input);
}

function has(images: PolicyLists['images'], wanted: PolicyLists['images'][number]): boolean {
  return images.some(
    ({ reference, origins }) =>
      reference === wanted.reference && origins.includes(wanted.origins[0] ?? 'pulled'),
  );
}

/** Names that stand in lists; of what all lists agree about, no more than that is tried. */
function hintsOf(lists: readonly PolicyLists[]): Hints {
  const union = (of: (one: PolicyLists) => readonly string[]) => [...new Set(lists.flatMap(of))];
  const several = (path: string, words: readonly string[]): Hints =>
    words.length > 1 ? { [path]: words } : {};
  const grants = lists.flatMap(({ secrets }) => secrets);
  const ids = grants.flatMap(({ tasks }) => tasks.map((task) => task.replace(/\*$/, '')));
  return {
    'task.tool': union(({ tools }) => tools),
    ...(grants.length === 0
      ? {}
      : {
          'task.secrets': [...new Set(grants.map(({ name }) => name))],
          'task.id': [...new Set(ids.filter((id) => id !== ''))],
        }),
    ...several(
      'spec.image.reference',
      union(({ images }) => images.map(({ reference }) => reference)),
    ),
    ...several(
      'spec.runtime',
      union(({ isolation }) => isolation.runtimes),
    ),
  };
}

const usual = [['--version'], ['test'], ['true'], ['run', 'build'], []];

/** The arguments that a tool takes, so that a task is not refused for those of another one. */
function settler(lists: readonly PolicyLists[]): (input: PolicyInput) => PolicyInput {
  const known = new Map<string, readonly string[] | undefined>();
  return (input) => {
    const { tool } = input.task;
    if (!known.has(tool)) known.set(tool, argumentsFor(tool, lists));
    const args = known.get(tool);
    return args === undefined ? input : { ...input, task: { ...input.task, args } };
  };
}

function argumentsFor(tool: string, lists: readonly PolicyLists[]): readonly string[] | undefined {
  const judge = findTool(tool);
  if (judge === undefined) return undefined;
  const patterns = lists.flatMap(({ argv }) =>
    argv.filter((one) => one.tool === tool).flatMap((one) => one.patterns),
  );
  return [...usual, ...patterns.map(exampleArguments)].find(
    (args) =>
      judge.judge(args).length === 0 && lists.every(({ argv }) => allowsArgv(argv, { tool, args })),
  );
}

function exampleArguments(pattern: string): string[] {
  return pattern
    .split(' ')
    .filter((word) => word !== '**')
    .map((word) => (word === '*' ? 'x' : word));
}
