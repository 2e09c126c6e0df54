import { quoted } from '../base/schema-issues.ts';

export const actions = [
  'clean',
  'build',
  'format',
  'lint',
  'typecheck',
  'check',
  'test',
  'bench',
  'docs',
] as const;
export type Action = (typeof actions)[number];

/** What somebody asked for, as far as rules can tell; `unknown` words are for the ecosystems. */
export type Intent = {
  actions: Action[];
  /** Everything that can be checked, whatever of it exists. */
  all: boolean;
  /** Words that may be the name of a script or a target; whatever nobody knows is refused. */
  names: string[];
  /** Named languages or tools: only these ecosystems are looked at. */
  only: string[];
};

const synonyms: ReadonlyMap<string, Action> = new Map(
  Object.entries({
    clean: ['clean', 'cleanup'],
    build: ['build', 'builds', 'compile', 'compiles', 'bundle'],
    format: ['format', 'formatting', 'fmt', 'prettier'],
    lint: ['lint', 'lints', 'linter', 'linting', 'eslint'],
    typecheck: ['typecheck', 'type-check', 'types', 'typechecks', 'tsc'],
    check: ['check', 'checks', 'verify', 'validate'],
    test: ['test', 'tests', 'testing'],
    bench: ['bench', 'benchmark', 'benchmarks'],
    docs: ['docs', 'doc', 'documentation'],
  } satisfies Record<Action, string[]>).flatMap(([action, words]) =>
    words.map((word): [string, Action] => [word, action as Action]),
  ),
);

const everything = ['all', 'everything', 'ci'];

const ecosystems: ReadonlyMap<string, string[]> = new Map([
  ...['typescript', 'javascript', 'node', 'nodejs', 'node.js', 'ts', 'js'].map(
    (word): [string, string[]] => [word, ['npm', 'pnpm', 'yarn', 'bun']],
  ),
  ['npm', ['npm']],
  ['pnpm', ['pnpm']],
  ['yarn', ['yarn']],
  ['rust', ['cargo']],
  ['cargo', ['cargo']],
  ['go', ['go']],
  ['golang', ['go']],
  ['python', ['python']],
  ['gradle', ['gradle']],
  ['maven', ['maven']],
  ['java', ['gradle', 'maven']],
  ['cmake', ['cmake']],
  ['make', ['make']],
  ['makefile', ['make']],
]);

const filler = new Set([
  'a',
  'an',
  'and',
  'the',
  'this',
  'that',
  'my',
  'our',
  'its',
  'it',
  'then',
  'please',
  'also',
  'run',
  'do',
  'execute',
  'perform',
  'project',
  'package',
  'repo',
  'repository',
  'app',
  'application',
  'code',
  'codebase',
  'workspace',
  'library',
  'crate',
  'module',
  'part',
  'in',
  'of',
  'for',
  'with',
  'on',
  'script',
  'scripts',
  'target',
  'targets',
  'task',
  'tasks',
  'suite',
  'source',
  'sources',
]);

/** Reads an intent word by word. Order and filler do not matter; nothing is guessed from the rest. */
export function readIntent(text: string): Intent {
  const found = new Set<Action>();
  const names: string[] = [];
  const only = new Set<string>();
  let all = false;
  const words = text
    .toLowerCase()
    .slice(0, 2000)
    .split(/[^\p{L}\p{N}:._-]+/u);
  for (const raw of words) {
    const word = raw.replace(/^[.:_-]+|[.:_-]+$/g, '');
    if (word === '' || filler.has(word)) continue;
    const action = synonyms.get(word);
    if (action !== undefined) found.add(action);
    else if (everything.includes(word)) all = true;
    else if (ecosystems.has(word)) for (const name of ecosystems.get(word) ?? []) only.add(name);
    else if (!names.includes(word)) names.push(word);
  }
  // "run all tests" asks for the tests.
  if (found.size > 0 || names.length > 0) all = false;
  return { actions: actions.filter((one) => found.has(one)), all, names, only: [...only] };
}

export function unknownWord(word: string): string {
  return `${quoted(word)} is not something that the rules know; they know ${actions.join(', ')}, all`;
}
