import { chmodSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { askVersions } from '#daemon/engine/ask-versions.ts';
import { componentsOf } from '#daemon/engine/drivers/components.ts';
import { escapes } from '#daemon/engine/escapes.ts';
import { knownEscapes, refusedEscapes, unknownVersions } from '#daemon/engine/known-escapes.ts';
import { compareVersions, hasDebianFix, isFixed, versionIn } from '#daemon/engine/versions.ts';
import { tempDir } from '#test/support/temp-dir.ts';

const open = (name: string, version: string, packed?: string) =>
  knownEscapes([{ name, version, ...(packed === undefined ? {} : { package: packed }) }]);
const refused = (name: string, version: string, packed?: string, accepted: string[] = []) =>
  refusedEscapes(open(name, version, packed), accepted).map(({ cve }) => cve);

test.each([
  ['runc', '1.0.0-rc6', 'CVE-2019-5736'],
  ['runc', '1.0.0-rc94', 'CVE-2021-30465'],
  ['runc', '1.1.4', 'CVE-2023-27561'],
  ['runc', '1.1.11', 'CVE-2024-21626'],
  ['runc', '1.1.5', 'CVE-2024-21626'],
  ['crun', '0.10.4', 'CVE-2019-18837'],
])('%s %s is refused, by the name of what is wrong', (name, version, cve) => {
  expect(refused(name, version)).toContain(cve);
});

test('a package of Debian without the fix is refused, whatever it is built from', () => {
  expect(refused('runc', '1.1.5', '1.1.5+ds1-1')).toEqual(['CVE-2024-21626']);
  expect(refused('runc', '1.1.5', '1.1.5+ds1-1+deb12u0')).toEqual(['CVE-2024-21626']);
  expect(refused('runc', '1.1.4', '1.1.4+ds1-1+deb12u9')).toContain('CVE-2024-21626');
});

test('a package of Debian with the fix is taken', () => {
  expect(refused('runc', '1.1.5', '1.1.5+ds1-1+deb12u1')).toEqual([]);
  expect(refused('runc', '1.1.5', '1.1.5+ds1-1+deb12u2')).toEqual([]);
});

test('what is out of reach here is known, told, and refuses nothing', () => {
  const known = open('runc', '1.2.7');
  expect(known.map(({ cve }) => cve)).toContain('CVE-2025-31133');
  expect(refusedEscapes(known, [])).toEqual([]);
  expect(open('runc', '1.4.3')).toEqual([]);
  expect(open('crun', '1.31')).toEqual([]);
});

test('what is accepted by name is taken, and nothing else with it', () => {
  expect(refused('runc', '1.1.4', undefined, ['CVE-2024-21626'])).toEqual(['CVE-2023-27561']);
});

test('a version that nobody knows is said to be unknown', () => {
  const components = [
    { name: 'crun', version: undefined },
    { name: 'runc', version: 'unknown' },
    { name: 'containerd', version: '2.1.0' },
  ];
  expect(unknownVersions(components)).toEqual(['crun', 'runc']);
  expect(knownEscapes(components.slice(0, 2))).toEqual([]);
});

test('a line of releases has its own fix, and a line without one that of the newest', () => {
  const fixed = ['1.2.8', '1.3.3', '1.4.0-rc.3'];
  for (const good of ['1.2.8', '1.2.9', '1.3.3', '1.4.0-rc.3', '1.4.0', '1.5.0', '2.0.0']) {
    expect([good, isFixed(good, fixed)]).toEqual([good, true]);
  }
  for (const bad of ['1.2.7', '1.3.2', '1.4.0-rc.2', '1.1.15', '1.0.0-rc95', '0.1.1']) {
    expect([bad, isFixed(bad, fixed)]).toEqual([bad, false]);
  }
  expect(isFixed('none', fixed)).toBeUndefined();
});

const number = fc.nat({ max: 40 });
const version = fc
  .tuple(number, number, number, fc.option(number))
  .map(([a, b, c, rc]) => `${a}.${b}.${c}${rc === null ? '' : `-rc.${rc}`}`);

test('versions have one order', () => {
  fc.assert(
    fc.property(version, version, version, (a, b, c) => {
      const order = (x: string, y: string) => compareVersions(x, y) ?? NaN;
      expect(order(a, a)).toBe(0);
      expect(order(a, b) + order(b, a)).toBe(0);
      if (order(a, b) <= 0 && order(b, c) <= 0) expect(order(a, c)).toBeLessThanOrEqual(0);
    }),
  );
});

test('a package of another upstream version claims no fix', () => {
  expect(hasDebianFix('1.1.6+ds1-1+deb12u1', '1.1.5+ds1-1+deb12u1')).toBe(false);
  expect(hasDebianFix('1.1.5+ds1-1+deb11u1', '1.1.5+ds1-1+deb12u1')).toBe(false);
  expect(hasDebianFix('x', 'x')).toBe(false);
});

test('each entry can be read: a name, fixed versions, and why it does not matter where it does not', () => {
  for (const { cve, fixed, debian = [], what, unreached } of escapes) {
    expect(cve).toMatch(/^CVE-\d{4}-\d{4,7}$/);
    expect(fixed.length).toBeGreaterThan(0);
    expect(fixed.map((each) => isFixed(each, fixed))).toEqual(fixed.map(() => true));
    expect(debian.map((each) => hasDebianFix(each, each))).toEqual(debian.map(() => true));
    expect(what.length).toBeGreaterThan(10);
    expect(unreached ?? 'a reason').not.toBe('');
  }
});

test('Docker of Debian and Podman say which programs they use', () => {
  const docker = [
    { Name: 'Engine', Version: '20.10.24+dfsg1', Details: { GitCommit: '5d6db84' } },
    { Name: 'runc', Version: '1.1.5+ds1', Details: { GitCommit: '1.1.5+ds1-1+deb12u1' } },
    { Name: 'docker-init', Version: '0.19.0', Details: {} },
  ];
  expect(componentsOf(docker, ['runc', 'crun', '/usr/bin/runsc', 'mine'])).toEqual([
    { name: 'docker', version: '20.10.24' },
    { name: 'runc', version: '1.1.5', package: '1.1.5+ds1-1+deb12u1' },
    { name: 'crun', version: undefined },
    { name: 'runsc', version: undefined },
  ]);
  const podman = [
    { Name: 'Podman Engine', Version: '4.3.1', Details: {} },
    {
      Name: 'OCI Runtime (/usr/bin/crun)',
      Version: 'crun version 1.8.1\ncommit: f8a0\nspec: 1.0.0',
      Details: { Package: 'crun_1.8.1-1+deb12u1_amd64' },
    },
  ];
  expect(componentsOf(podman, [])).toEqual([
    { name: 'podman', version: '4.3.1' },
    { name: 'crun', version: '1.8.1', package: '1.8.1-1+deb12u1' },
  ]);
});

test.each([
  ['runc version 1.4.0-rc.3\nspec: 1.2', '1.4.0-rc.3'],
  ['crun version 1.31', '1.31'],
  ['runsc version 0.0~20221219.0', '20221219.0'],
  ['runsc version release-20250407.0', '20250407.0'],
  ['', undefined],
])('of %j the version is %s', (text, expected) => {
  expect(versionIn(text)).toBe(expected);
});

test('a program of this machine is asked itself; one that hangs, fails or has no place stays unknown', async () => {
  await using dir = await tempDir();
  const program = (name: string, script: string) => {
    const file = path.join(dir.path, name);
    writeFileSync(file, `#!/bin/sh\n${script}\n`);
    chmodSync(file, 0o755);
    return file;
  };
  const paths = {
    crun: program('crun', 'echo crun version 1.30'),
    runsc: program('runsc', 'exit 1'),
    youki: 'youki',
  };
  const names = ['crun', 'runsc', 'youki', 'other'];
  const asked = await askVersions(
    names.map((name) => ({ name, version: undefined })),
    paths,
  );
  expect(asked.map(({ version: said }) => said)).toEqual(['1.30', undefined, undefined, undefined]);
});
