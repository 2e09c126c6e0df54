import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const root = new URL('../../..', import.meta.url).pathname;

/**
 * The engine's way of copying into and out of a container resolves paths that the task chose, and
 * runs programs and libraries that it finds there, as root (CVE-2018-15664, CVE-2019-14271,
 * CVE-2026-41567 and their like). Nothing of ours goes that way but the volumes of an engine that
 * does not see our disk, whose guard lets nobody in before a task begins and until it is dead: the
 * root is the image's own then, read-only, and nothing moves. What a task left elsewhere is read from
 * its layer.
 */
const allowed = ['daemon/engine/drivers/archive.ts'];

const forbidden = [
  /\b(?:put|get|info)Archive\b/,
  /['"`/]archive\?/,
  /containers\/[^'"`\s]*\/archive\b/,
  /containers\/[^'"`\s]*\/(?:copy|export)\b/,
  /\b(?:docker|podman)['"]?[,\s]+\[?['"]?(?:cp|export)\b/,
];

test('only volumes go through the archive endpoints of an engine, and nothing through its command', () => {
  const files = ['daemon', 'cli', 'setup', 'contract'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') && !name.includes('node_modules'))
      .map((name) => join(folder, name)),
  );
  const found = files.filter((file) => {
    const text = readFileSync(join(root, file), 'utf8');
    return forbidden.some((pattern) => pattern.test(text));
  });
  expect(found).toEqual(allowed);
  expect(files.length).toBeGreaterThan(150);
});

test.each([
  'container.putArchive(tar)',
  'dial(`/containers/${id}/archive?path=/`)',
  "call('/containers/x/archive', {})",
  "spawn('docker', ['cp', from, to])",
  'docker cp a:/x y',
  'dial(`/containers/${id}/export`)',
])('the search would find %s', (line) => {
  expect(forbidden.some((pattern) => pattern.test(line))).toBe(true);
});
