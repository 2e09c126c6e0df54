import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { publicRegistry, readNpmConfig } from '#daemon/provision/npm-config.ts';
import { temporaryFolder } from './harness.ts';

async function home(npmrc: string): Promise<string> {
  const folder = await temporaryFolder();
  await writeFile(join(folder, '.npmrc'), npmrc);
  return folder;
}

test('a registry that is no http address is refused', async () => {
  const HOME = await home('@acme:registry=ftp://r.example\n');
  await expect(readNpmConfig({ env: { HOME } })).rejects.toMatchObject({ code: 'config.invalid' });
});

test('nothing configured means the registry that npm asks by itself', async () => {
  const npm = await readNpmConfig({ env: { HOME: await home('') } });
  expect(npm).toMatchObject({ registry: publicRegistry, scopes: {} });
  expect(npm.replaceRegistryHost).toBe(new URL(publicRegistry).hostname);
});

test('the user’s file is read with its scopes and variables, the environment wins', async () => {
  const HOME = await home(
    'registry=https://user.example/npm\n@acme:registry=https://acme.example\n//acme.example/:_authToken=${TOKEN}\n',
  );
  const env = { HOME, TOKEN: 'secret' };
  await expect(readNpmConfig({ env })).resolves.toMatchObject({
    registry: 'https://user.example/npm/',
    scopes: { '@acme': 'https://acme.example/' },
    options: { '//acme.example/:_authToken': 'secret' },
  });
  const other = { ...env, npm_config_registry: 'https://env.example' };
  await expect(readNpmConfig({ env: other })).resolves.toMatchObject({
    registry: 'https://env.example/',
  });
  expect(env).toEqual({ HOME, TOKEN: 'secret' });
});

test('the global file beside the Node that is named is read', async () => {
  const prefix = await temporaryFolder();
  await mkdir(join(prefix, 'etc'), { recursive: true });
  await writeFile(join(prefix, 'etc/npmrc'), 'registry=https://global.example\n');
  const npm = await readNpmConfig({
    env: { HOME: await home('') },
    execPath: join(prefix, 'bin/node'),
  });
  expect(npm.registry).toBe('https://global.example/');
});
