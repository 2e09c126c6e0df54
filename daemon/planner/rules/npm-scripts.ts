import type { Action } from '../intent.ts';

/** Names under which projects keep the script for an action; the first one that exists is it. */
const candidates: Readonly<Record<Action, readonly string[]>> = {
  clean: ['clean'],
  build: ['build', 'compile', 'bundle'],
  format: [
    'format:check',
    'check:format',
    'format-check',
    'fmt:check',
    'prettier:check',
    'format',
    'fmt',
  ],
  lint: ['lint', 'eslint'],
  typecheck: [
    'typecheck',
    'type-check',
    'check-types',
    'check:types',
    'types:check',
    'types',
    'tsc',
  ],
  check: ['check', 'verify', 'validate'],
  test: ['test', 'tests'],
  bench: ['bench', 'benchmark'],
  docs: ['docs', 'doc', 'build:docs', 'docs:build'],
};

export function scriptFor(
  action: Action,
  scripts: ReadonlyMap<string, string>,
): string | undefined {
  return candidates[action].find((name) => scripts.has(name) && !isPlaceholder(scripts.get(name)));
}

/** What npm init writes: a test script that only says that there are none. */
export function isPlaceholder(script: string | undefined): boolean {
  return script !== undefined && /no test specified/.test(script) && /exit 1/.test(script);
}

// Runners that compile sources themselves, so that tests need no build before them.
const fromSource =
  /\b(?:vitest|jest|tsx|ts-node|ts-mocha|swc-node|esbuild-register|strip-types|transform-types|bun test)\b/;

export type TestNeeds = 'source' | 'unknown' | { built: string };

/** Whether the test script names something that the build makes, as far as its text tells. */
export function testNeeds(script: string, built: readonly string[]): TestNeeds {
  // Within a script "dist" is a path only where it begins one: `./dist/x`, `dist`, not `distance`.
  const named = built.find((name) =>
    new RegExp(`(?:^|[\\s"'=/])${name}(?:[/\\s"']|$)`).test(script),
  );
  if (named !== undefined) return { built: named };
  return fromSource.test(script) ? 'source' : 'unknown';
}

/** Whether a script builds by itself, so that nothing has to be built before it. */
export function buildsItself(
  name: string,
  build: string,
  scripts: ReadonlyMap<string, string>,
): boolean {
  return [`pre${name}`, name].some((part) =>
    new RegExp(`\\brun(?:-script)?\\s+${build}\\b`).test(scripts.get(part) ?? ''),
  );
}
