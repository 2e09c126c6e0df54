import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { loadedModules, type LoadedModules } from '#daemon/engine/lsm.ts';
import { wallsUnder } from '#daemon/policy/walls.ts';
import { findWalls, shippedProfile, shippedType } from '#daemon/walls.ts';
import { hasProgram } from '#setup/engine/install.ts';
import { shippedPolicy } from '#test/support/policies.ts';
import { seccompFile, shippedSeccomp } from '#test/support/seccomp.ts';
import { tempDir } from '#test/support/temp-dir.ts';

const policiesDir = new URL('../../../policies', import.meta.url).pathname;
const profile = path.join(policiesDir, 'apparmor/orchestra-sandbox');
const module_ = path.join(policiesDir, 'selinux/orchestra_sandbox.cil');
const base = new URL('../../support/selinux-base.cil', import.meta.url).pathname;

const nothing: LoadedModules = { hasProfile: async () => false, hasType: async () => false };
const everything: LoadedModules = { hasProfile: async () => true, hasType: async () => true };
const bare = { kind: 'docker', seccomp: true, apparmor: false, selinux: false } as const;

test('an engine without AppArmor and SELinux is given no name of either', async () => {
  const walls = await findWalls(bare, policiesDir, everything);
  expect(walls).toMatchObject({ apparmor: undefined, selinux: undefined });
});

test('an engine without seccomp is given no profile, which it would refuse', async () => {
  const walls = await findWalls({ ...bare, seccomp: false }, policiesDir, nothing);
  expect(walls.seccomp).toBeUndefined();
  expect(wallsUnder(shippedPolicy('default'), walls).seccomp).toEqual({ profile: 'builtin' });
});

test('a profile that is not loaded is not named: no sandbox would start', async () => {
  const facts = { ...bare, apparmor: true, selinux: true };
  expect(await findWalls(facts, policiesDir, nothing)).toMatchObject({
    apparmor: 'docker-default',
    selinux: undefined,
  });
  const podman = await findWalls({ ...facts, kind: 'podman' }, policiesDir, nothing);
  expect(podman.apparmor).toBeUndefined();
});

test('our own are named where they are loaded, and not under a policy that says off', async () => {
  const facts = { ...bare, apparmor: true, selinux: true };
  const walls = await findWalls(facts, policiesDir, everything);
  const policy = shippedPolicy('default');
  expect(wallsUnder(policy, walls)).toEqual({
    seccomp: shippedSeccomp(),
    apparmor: shippedProfile,
    selinux: shippedType,
  });
  const off = { isolation: { ...policy.isolation, apparmor: 'off', selinux: 'off' } } as const;
  expect(wallsUnder(off, walls)).toMatchObject({ apparmor: undefined, selinux: undefined });
});

test('a profile that only complains is not taken for one that confines', async () => {
  await using dir = await tempDir();
  const profiles = path.join(dir.path, 'profiles');
  const context = path.join(dir.path, 'context');
  writeFileSync(profiles, 'docker-default (enforce)\norchestra-sandbox (complain)\n');
  const kernel = loadedModules({ profiles, context });
  expect(await kernel.hasProfile(shippedProfile)).toBe(false);
  expect(await kernel.hasProfile('docker-default')).toBe(true);
  expect(await kernel.hasType(shippedType)).toBe(false);
  writeFileSync(context, '');
  expect(await kernel.hasType(shippedType)).toBe(true);
  expect(readFileSync(context, 'utf8')).toBe(`system_u:system_r:${shippedType}:s0`);
});

test('the names in the shipped files are those that the daemon asks for', () => {
  expect(readFileSync(profile, 'utf8')).toContain(`\nprofile ${shippedProfile} `);
  expect(readFileSync(module_, 'utf8')).toContain(`(type ${shippedType})`);
  expect(seccompFile.startsWith(policiesDir)).toBe(true);
});

test.skipIf(!hasProgram('apparmor_parser'))('the AppArmor profile is one (apparmor_parser)', () => {
  execFileSync('apparmor_parser', ['-Q', '-K', profile], { stdio: 'pipe' });
});

test.skipIf(!hasProgram('secilc'))('the SELinux module is one (secilc)', () => {
  const args = ['-M', 'true', '-o', '/dev/null', '-f', '/dev/null', base, module_];
  execFileSync('secilc', args, { stdio: 'pipe' });
});
