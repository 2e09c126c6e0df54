import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { recordCoverage } from '#contract/coverage.ts';
import { recordTypes } from '#contract/records.ts';
import { scenarios } from '../runs/scenarios.ts';

const root = new URL('../../..', import.meta.url).pathname;
const trail = 'test/unit/runs/trail.test.ts';
/** Neither this folder nor the lists of what is tested elsewhere. */
const skipped = /^house\/|runs\/trail\.test\.ts$/;
const types = Object.keys(recordTypes);

/** The tests of a file by name, each with its text. Those that are switched off are not among them. */
function testsIn(file: string): Map<string, string> {
  const path = join(root, file);
  if (!existsSync(path)) return new Map();
  const text = readFileSync(path, 'utf8');
  const found = [...text.matchAll(/(?:\btest|\))\(\s*(['"`])((?:(?!\1)[^\\\n]|\\.)+)\1,/g)];
  return new Map(
    found.map(({ index, 2: name = '' }, at) => [name, text.slice(index, found[at + 1]?.index)]),
  );
}

/** A row that would do, to be pasted: of a scenario, or of a test that names the type. */
function rowFor(type: string): string {
  const scenario = scenarios.find((each) => emits(each.trail, type));
  const [file, name] =
    scenario === undefined ? searched(type) : [trail, `the trail of ${scenario.name}`];
  return `  '${type}': [${quoted(file)}, ${quoted(name)}],`;
}

const quoted = (text: string) => (text.includes("'") ? JSON.stringify(text) : `'${text}'`);
const emits = (all: readonly string[], type: string) =>
  all.some((one) => one.split(' ')[0] === type);

function searched(type: string): [string, string] {
  for (const folder of ['test/unit', 'test/engine', 'test/e2e']) {
    const names = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' });
    for (const name of names.toSorted()) {
      if (!name.endsWith('.test.ts') || skipped.test(name)) continue;
      for (const [test, text] of testsIn(`${folder}/${name}`)) {
        if (text.includes(`'${type}'`)) return [`${folder}/${name}`, test];
      }
    }
  }
  return ['test/…', 'a test that makes the daemon emit it'];
}

test('every type of record has a test that makes the daemon emit it', () => {
  const missing = types.filter((type) => recordCoverage[type] === undefined).map(rowFor);
  expect(missing.join('\n'), `add to contract/coverage.ts:\n${missing.join('\n')}\n`).toBe('');
});

test('what is named is there, and makes what it is named for', () => {
  const wrong = Object.entries(recordCoverage).flatMap(([type, [file, name]]) => {
    if (!types.includes(type)) return [`${type}: no such type`];
    if (file === trail) {
      const scenario = scenarios.find((each) => `the trail of ${each.name}` === name);
      return emits(scenario?.trail ?? [], type) ? [] : [`${type}: instead\n${rowFor(type)}`];
    }
    const tests = testsIn(file);
    if (!tests.has(name))
      return [`${type}: ${file} has no test '${name}'; perhaps\n${rowFor(type)}`];
    // Beside the test itself there may be a helper that looks for it.
    return readFileSync(join(root, file), 'utf8').includes(type)
      ? []
      : [`${type}: ${file} does not name it; perhaps\n${rowFor(type)}`];
  });
  expect(wrong.join('\n')).toBe('');
});
