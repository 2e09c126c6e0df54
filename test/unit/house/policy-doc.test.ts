import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { inputLines } from '#contract/policy-input.ts';
import { readPolicy } from '#daemon/policy/document.ts';

const root = new URL('../../../', import.meta.url);
const page = readFileSync(new URL('docs/POLICY.md', root), 'utf8');

test('the page on policies has everything that a condition can look at, and nothing else', () => {
  const rows = page
    .split('\n')
    .flatMap(
      (line) =>
        /^\| `((?:actor|run|task|spec|history)\.[^`]+)` +\| (.+?) +\| (.+?) +\|$/.exec(line) ?? [],
    )
    .filter((cell) => !cell.startsWith('|'));
  const said = inputLines().flatMap(({ name, type, doc }) => [name, type, doc]);
  expect(rows.map(plain)).toEqual(said.map(plain));
});

const plain = (text: string) => text.replaceAll('\\', '').replaceAll(/\s+/g, ' ').trim();

test('the document on that page can be loaded', () => {
  const [, example = ''] = /```yaml\n([\s\S]+?)```/.exec(page) ?? [];
  const parts = example.slice(example.indexOf('profiles:'));
  const shipped = readFileSync(new URL('policies/default.yaml', root), 'utf8');
  const { policy } = readPolicy(`${shipped}\n${parts}`, 'site.yaml');
  expect(policy.documents[0]?.rules?.map(({ id }) => id)).toEqual([
    'workspace',
    'release-asks',
    'no-force',
  ]);
  expect(policy.documents[0]?.profiles).toHaveLength(2);
});
