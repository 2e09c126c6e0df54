import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const root = new URL('../../..', import.meta.url).pathname;

/**
 * The engine's way of copying into and out of a container resolves paths that the task chose, as
 * root (CVE-2018-15664, CVE-2019-14271 and their like). Nothing of ours goes that way: what a task
 * left is read from its layer.
 */
const forbidden = [
  /\b(?:put|get|info)Archive\b/,
  /['"`/]archive\?/,
  /containers\/[^'"`\s]*\/archive\b/,
  /\/(?:copy|export)\b(?=['"`?])/,
  /\b(?:docker|podman)['"]?[,\s]+\[?['"]?(?:cp|export)\b/,
];

test('nothing asks an engine for its archive endpoints, nor copies with its command', () => {
  const files = ['daemon', 'cli', 'setup', 'contract'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') && !name.includes('node_modules'))
      .map((name) => join(folder, name)),
  );
  const found = files.filter((file) => {
    const text = readFileSync(join(root, file), 'utf8');
    return forbidden.some((pattern) => pattern.test(text));
  });
  expect(found).toEqual([]);
  expect(files.length).toBeGreaterThan(150);
});

test.each([
  'container.putArchive(tar)',
  'dial(`/containers/${id}/archive?path=/`)',
  "call('/containers/x/archive', {})",
  "spawn('docker', ['cp', from, to])",
  'docker cp a:/x y',
])('the search would find %s', (line) => {
  expect(forbidden.some((pattern) => pattern.test(line))).toBe(true);
});
