import { chown, cp, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readNpmConfig } from '#daemon/provision/npm-config.ts';
import { planProvision, type PlanProvisionOptions } from '#daemon/provision/plan-provision.ts';
import { provision } from '#daemon/provision/provision.ts';
import { describeImage } from '#setup/image/description.ts';
import type { SandboxImage } from '#setup/image/images.ts';
import { prepare } from '#setup/prepare.ts';
import { FakeRegistry } from '#test/support/fake-registry.ts';
import { configured, memoryLog } from '#test/unit/provision/harness.ts';
import { runContainer, type Ran } from './container.ts';

const { uid, gid } = describeImage().user;
const large = { registries: ['configured'], packageBytes: 1e8, totalBytes: 1e9, packages: 1e4 };
/** npm, a linter and a compiler on a machine that others use too. */
const slowMs = 240_000;
let host: string;
let image: SandboxImage;
let folder: string;

beforeAll(async () => {
  const ready = await prepare(process.env, () => {});
  host = ready.engine.host;
  image = ready.image;
  folder = await mkdtemp(join(tmpdir(), 'orchestra-provision-engine-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** Provisions the project in `workspace` and runs a script in it, in a container as a task gets. */
async function inSandbox(
  workspace: string,
  options: Omit<PlanProvisionOptions, 'platform' | 'npmrc'>,
  script: string,
): Promise<Ran> {
  const text = (name: string) => readFile(join(workspace, name), 'utf8').catch(() => '');
  const list = await planProvision(await text('package-lock.json'), await text('package.json'), {
    ...options,
    platform: { os: 'linux', cpu: process.arch === 'arm64' ? 'arm64' : 'x64', libc: image.libc },
    npmrc: await text('.npmrc'),
  });
  const { dir, env } = await provision({
    list,
    ...options,
    cacheDir: join(folder, 'packages'),
    log: memoryLog().log,
    signal: AbortSignal.timeout(100_000),
  });
  const scratch = await mkdtemp(join(folder, 'scratch-'));
  for (const path of ['upper', 'work']) await mkdir(join(scratch, path));
  for (const path of ['upper', 'work']) await chown(join(scratch, path), uid, gid);
  await giveTo(workspace);
  const o = `lowerdir=${dir},upperdir=${scratch}/upper,workdir=${scratch}/work`;
  return runContainer(
    host,
    {
      Image: image.id,
      User: `${uid}:${gid}`,
      WorkingDir: '/work',
      Cmd: ['sh', '-euc', script],
      // Without this the engine lays an empty /etc/hosts over the image's and `localhost` has no name.
      NetworkDisabled: false,
      Env: Object.entries({ ...env, npm_config_cache: '/cache' }).map(([k, v]) => `${k}=${v}`),
      HostConfig: {
        NetworkMode: 'none',
        ReadonlyRootfs: true,
        CapDrop: ['ALL'],
        SecurityOpt: ['no-new-privileges'],
        Memory: 1024 * 1024 * 1024,
        PidsLimit: 256,
        Tmpfs: { '/tmp': 'size=64m,mode=1777' },
        Mounts: [
          { Type: 'bind', Source: workspace, Target: '/work' },
          {
            Type: 'volume',
            Target: '/cache',
            VolumeOptions: {
              NoCopy: true,
              DriverConfig: { Name: 'local', Options: { type: 'overlay', device: 'overlay', o } },
            },
          },
        ],
      },
    },
    slowMs,
  );
}

async function giveTo(workspace: string): Promise<void> {
  await chown(workspace, uid, gid);
  for (const path of await readdir(workspace, { recursive: true })) {
    await chown(join(workspace, path), uid, gid);
  }
}

test('npm ci, build, lint, types and tests of the example pass without a network', async () => {
  const workspace = join(folder, 'example');
  const example = fileURLToPath(new URL('../../examples/typescript-project/', import.meta.url));
  await cp(example, workspace, {
    recursive: true,
    filter: (path) => !/\/(node_modules|dist)$/.test(path),
  });
  const { code, output } = await inSandbox(
    workspace,
    { policy: large, npmConfig: await readNpmConfig({ env: process.env }) },
    'npm ci && npm run build && npm run lint && npm run typecheck && npm test',
  );
  expect(output).toMatch(/added \d+ packages/);
  expect(output).toMatch(/Tests.*36 passed/);
  expect(code).toBe(0);
}, 300_000);

test('every kind of entry is installed by npm from what was provisioned', async () => {
  await using registry = await FakeRegistry.open();
  const plain = await registry.publish('plain', '1.0.0', { files: { 'index.js': '// one' } });
  const newer = await registry.publish('plain', '2.0.0', { files: { 'index.js': '// two' } });
  const addressed = await registry.publish('addressed', '1.0.0', { at: '/blobs/1' });
  const scoped = await registry.publish('@acme/scoped', '3.0.0');
  const wide = await registry.publish('@wide/scoped', '4.0.0');
  const script = 'require("fs").writeFileSync("ran", "yes")';
  const scripted = await registry.publish('scripted', '1.0.0', {
    files: { 'package.json': scriptedManifest(script) },
  });
  const lock = {
    'node_modules/plain': { version: '1.0.0', integrity: plain },
    'node_modules/alias': { name: 'plain', version: '2.0.0', integrity: newer },
    'node_modules/addressed': {
      version: '1.0.0',
      integrity: addressed,
      resolved: `${registry.url}blobs/1`,
      dependencies: { plain: '^2.0.0' },
    },
    'node_modules/addressed/node_modules/plain': { version: '2.0.0', integrity: newer },
    'node_modules/@acme/scoped': { version: '3.0.0', integrity: scoped },
    'node_modules/@wide/scoped': { version: '4.0.0', integrity: wide },
    'node_modules/scripted': { version: '1.0.0', integrity: scripted, hasInstallScript: true },
    'node_modules/elsewhere': {
      version: '1.0.0',
      integrity: plain,
      os: ['darwin'],
      optional: true,
    },
    'node_modules/inner': { resolved: 'libs/inner', link: true },
    'libs/inner': { name: 'inner', version: '1.0.0', dependencies: { plain: '1' } },
  };
  const manifest = {
    name: 'demo',
    version: '1.0.0',
    workspaces: ['libs/*'],
    dependencies: {
      plain: '^1.0.0',
      alias: 'npm:plain@^2.0.0',
      addressed: '1.0.0',
      '@acme/scoped': '3.0.0',
      '@wide/scoped': '4.0.0',
      scripted: '1.0.0',
    },
    optionalDependencies: { elsewhere: '1.0.0' },
  };
  const workspace = join(folder, 'kinds');
  const inner = { name: 'inner', version: '1.0.0', dependencies: { plain: '1' } };
  await mkdir(join(workspace, 'libs/inner'), { recursive: true });
  await Promise.all([
    writeFile(join(workspace, 'libs/inner/package.json'), JSON.stringify(inner)),
    writeFile(join(workspace, 'package.json'), JSON.stringify(manifest)),
    writeFile(join(workspace, '.npmrc'), `@acme:registry=${registry.url}\n`),
    writeFile(
      join(workspace, 'package-lock.json'),
      JSON.stringify({ lockfileVersion: 3, requires: true, packages: { '': manifest, ...lock } }),
    ),
  ]);
  const options = configured(registry.url, {
    options: { '@wide:registry': registry.url },
  });
  const { code, output } = await inSandbox(
    workspace,
    options,
    `npm ci && cd node_modules && cat plain/index.js alias/index.js addressed/node_modules/plain/index.js scripted/ran &&
     ls @acme/scoped @wide/scoped inner/package.json && ! ls elsewhere`,
  );
  expect(output).toContain('added 8 packages');
  expect(output).toContain('// one// two// twoyes');
  expect(code).toBe(0);
});

function scriptedManifest(script: string): string {
  const scripts = { install: `node -e '${script}'` };
  return JSON.stringify({ name: 'scripted', version: '1.0.0', scripts });
}
