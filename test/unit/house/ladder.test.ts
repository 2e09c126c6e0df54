import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix, relative } from 'node:path';
import { expect, test } from 'vitest';

const root = new URL('../../..', import.meta.url).pathname;
const outside = [
  'contract',
  'verifier',
  'signer',
  'witness',
  'setup',
  'packaging',
  'cli',
  'test',
  'bench',
  'images',
];

function sources(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.includes('node_modules'))
    .map((name) => posix.join(folder, name));
}

/** What a file imports: paths from the root for our own files, package names for the rest. */
function importsOf(file: string): string[] {
  const text = readFileSync(join(root, file), 'utf8');
  const specifiers = text.matchAll(/(?:\bfrom\s+|\bimport\s*\(?\s*)'([^'\s]+)'/g);
  return [...specifiers].map(([, specifier = '']) => {
    if (specifier.startsWith('#')) return specifier.slice(1);
    if (!specifier.startsWith('.')) return specifier;
    return relative(root, join(root, dirname(file), specifier));
  });
}

const document = readFileSync(join(root, 'docs/ARCHITECTURE.md'), 'utf8');
const table = document.slice(document.indexOf('## The ladder'), document.indexOf('Beside the'));
const ladder = [...table.matchAll(/^\| `([a-z]+)\/?`/gm)].map(([, room = '']) => room);

/** Rung of a file of the daemon, 0 at the top; undefined for files elsewhere. */
function rung(file: string): number | undefined {
  if (!file.startsWith('daemon/')) return undefined;
  const [, room = '', rest] = file.split('/');
  return ladder.indexOf(rest === undefined ? 'start' : room);
}

test('the ladder in the document names every room of the daemon and no other', () => {
  const rooms = readdirSync(join(root, 'daemon'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name);
  expect(ladder.toSorted()).toEqual(['start', ...rooms].toSorted());
});

test('a file of the daemon imports only from its own room or from rooms further down', () => {
  const climbing = sources('daemon').flatMap((file) =>
    importsOf(file)
      .filter((target) => (rung(target) ?? Infinity) < (rung(file) ?? 0))
      .map((target) => `${file} imports ${target}`),
  );
  expect(climbing).toEqual([]);
});

test.each([
  ['contract', ['contract'], /^zod$/],
  ['verifier', ['verifier'], /^node:/],
  ['signer', ['signer', 'verifier'], /^node:/],
  ['witness', ['witness', 'signer', 'verifier'], /^node:/],
  ['setup', ['setup', 'contract'], /^(?!cli$|daemon$)/],
  ['cli', ['cli', 'contract', 'setup', 'verifier'], /^(?!daemon$)/],
  ['packaging', ['packaging', 'cli', 'contract', 'setup'], /^(?:node:|tar-stream$)/],
  ['daemon', ['daemon', 'contract', 'setup', 'verifier', 'signer'], /^(?!cli$|test$|bench$)/],
])('%s imports only what the document allows it', (folder, ours, packages) => {
  const wrong = sources(folder).flatMap((file) =>
    importsOf(file)
      .filter((target) => {
        const [top = ''] = target.split('/');
        const isOurs = top === 'daemon' || outside.includes(top);
        return isOurs ? !ours.includes(top) : !packages.test(target);
      })
      .map((target) => `${file} imports ${target}`),
  );
  expect(wrong).toEqual([]);
});

test('only the drivers name dockerode, and only open.ts names the drivers', () => {
  const naming = (pattern: RegExp) =>
    sources('daemon').filter((file) => importsOf(file).some((target) => pattern.test(target)));
  expect(naming(/^dockerode/).filter((file) => !file.startsWith('daemon/engine/drivers/'))).toEqual(
    [],
  );
  expect(
    naming(/^daemon\/engine\/drivers\//).filter(
      (file) => !file.startsWith('daemon/engine/drivers/'),
    ),
  ).toEqual(['daemon/engine/open.ts']);
});

test('nothing in the daemon writes to the console, and no test is singled out or put off', () => {
  const daemon = sources('daemon').filter((file) =>
    /\bconsole\.\w+\(/.test(readFileSync(join(root, file), 'utf8')),
  );
  const tests = sources('test').filter((file) =>
    /\b(?:test|it|describe)\.(?:only|todo)\(/.test(readFileSync(join(root, file), 'utf8')),
  );
  expect([daemon, tests]).toEqual([[], []]);
});

test('every file that the architecture names is there', () => {
  const named = [...document.matchAll(/`((?:daemon|test|engine|runs|policy|http)\/[\w./-]+\.ts)`/g)]
    .map(([, file = '']) => file)
    .map((file) => (/^(?:daemon|test)\//.test(file) ? file : `daemon/${file}`));
  const present = new Set([...sources('daemon'), ...sources('test')]);
  expect(named.length).toBeGreaterThan(3);
  expect(named.filter((file) => !present.has(file))).toEqual([]);
});
