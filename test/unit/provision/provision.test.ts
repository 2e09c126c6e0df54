import { once } from 'node:events';
import { readFile, readdir, stat, truncate, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { isIP } from 'node:net';
import { join } from 'node:path';
import cacache from 'cacache';
import { expect, test } from 'vitest';
import { npmConfigFrom } from '#daemon/provision/npm-config.ts';
import { contentPath } from '#daemon/provision/package-store.ts';
import { planProvision } from '#daemon/provision/plan-provision.ts';
import { FakeRegistry } from '#test/support/fake-registry.ts';
import {
  configured,
  limits,
  memoryLog,
  project,
  run,
  somehash,
  temporaryFolder,
} from './harness.ts';

const leftAlone = (integrity: string, more: Record<string, unknown> = {}) =>
  project({ 'node_modules/left': { version: '1.0.0', integrity, ...more } });

test('a tarball with another hash is refused and nothing of it is kept', async () => {
  await using registry = await FakeRegistry.open();
  await registry.publish('left', '1.0.0');
  const cacheDir = await temporaryFolder();
  const { entries, log } = memoryLog();
  const attempt = run(leftAlone(somehash), configured(registry.url), { cacheDir, log });
  await expect(attempt).rejects.toMatchObject({
    code: 'package.integrity',
    facts: { exit: 4 },
    message: expect.stringContaining('"left@1.0.0"') as string,
  });
  expect(registry.paths).toEqual(['/left/-/left-1.0.0.tgz']);
  expect((await filesIn(cacheDir)).filter((path) => !path.endsWith('CACHEDIR.TAG'))).toEqual([]);
  expect(entries.map(({ type, stage = 'note' }) => `${type} ${stage}`)).toEqual([
    'provision.requested note',
    'package.fetched intent',
    'package.fetched result',
    'package.refused note',
    'provision.finished note',
  ]);
  expect(entries.at(-1)).toMatchObject({ outcome: 'failed' });
});

test('each fetch is announced before it is made and its result has the same id', async () => {
  await using registry = await FakeRegistry.open();
  const integrity = await registry.publish('left', '1.0.0');
  const { entries, log } = memoryLog();
  const seen: number[] = [];
  const watching = {
    append: (async (entry: Parameters<typeof log.append>[0]) => {
      seen.push(registry.requests.length);
      return log.append(entry);
    }) as typeof log.append,
  };
  await run(leftAlone(integrity), configured(registry.url), { log: watching });
  expect(seen).toEqual([0, 0, 1, 1]);
  const [, intent, result, end] = entries;
  expect(intent).toMatchObject({ type: 'package.fetched', stage: 'intent' });
  expect(result).toMatchObject({ stage: 'result', req: intent?.req, data: { name: 'left' } });
  expect(end).toMatchObject({ data: { packages: 1, fetched: 1, outcome: 'ok' } });
});

test('nothing is fetched when the intent cannot be recorded', async () => {
  await using registry = await FakeRegistry.open();
  const integrity = await registry.publish('left', '1.0.0');
  const log = {
    append: (async (entry: { type: string }) => {
      if (entry.type === 'package.fetched') throw new Error('the disk is full');
    }) as never,
  };
  const attempt = run(leftAlone(integrity), configured(registry.url), { log });
  await expect(attempt).rejects.toThrow('the disk is full');
  expect(registry.requests).toEqual([]);
});

test('a second run asks the network nothing, and so does another list of the same packages', async () => {
  await using registry = await FakeRegistry.open();
  const integrity = await registry.publish('left', '1.0.0');
  const right = await registry.publish('right', '2.0.0');
  const cacheDir = await temporaryFolder();
  const both = project({
    'node_modules/left': { version: '1.0.0', integrity },
    'node_modules/right': { version: '2.0.0', integrity: right },
  });
  const first = await run(both, configured(registry.url), { cacheDir });
  expect(first).toMatchObject({ packages: 2, fetched: 2 });
  const asked = registry.requests.length;

  const again = await run(both, configured(registry.url), { cacheDir });
  const less = await run(leftAlone(integrity), configured(registry.url), { cacheDir });
  expect(again).toMatchObject({ dir: first.dir, packages: 2, fetched: 0, bytes: first.bytes });
  expect(less).toMatchObject({ packages: 1, fetched: 0 });
  expect(registry.requests.length).toBe(asked);
});

test('a cache holds what its own list pins and nothing of another', async () => {
  await using registry = await FakeRegistry.open();
  const integrity = await registry.publish('left', '1.0.0');
  const secret = await registry.publish('@acme/secret', '2.0.0');
  const cacheDir = await temporaryFolder();
  const packages = { 'node_modules/@acme/secret': { version: '2.0.0', integrity: secret } };
  await run(project(packages), configured(registry.url), { cacheDir });
  const { dir } = await run(leftAlone(integrity), configured(registry.url), { cacheDir });

  const cache = join(dir, '_cacache');
  await expect(stat(contentPath(cache, integrity))).resolves.toBeDefined();
  await expect(stat(contentPath(cache, secret))).rejects.toThrow('ENOENT');
  expect(Object.keys(await cacache.ls(cache)).join('\n')).not.toContain('secret');
});

test('neither the registry’s address nor a credential gets into the cache or the settings', async () => {
  await using registry = await FakeRegistry.open();
  const integrity = await registry.publish('left', '1.0.0');
  const options = { [`//${registry.host}/:_authToken`]: 'very-secret' };
  const { dir, env } = await run(leftAlone(integrity), configured(registry.url, { options }));
  expect(registry.requests).toEqual([
    { path: '/left/-/left-1.0.0.tgz', authorization: 'Bearer very-secret' },
  ]);
  const texts = await Promise.all((await filesIn(dir)).map((path) => readFile(path, 'utf8')));
  expect(texts.length).toBeGreaterThan(3);
  expect([...texts, JSON.stringify(env)].join('\n')).not.toMatch(
    new RegExp(`very-secret|${registry.host}`),
  );
});

test('a registry that keeps tarballs elsewhere is asked where, and only then', async () => {
  await using registry = await FakeRegistry.open();
  const integrity = await registry.publish('@acme/left', '1.0.0', { at: '/blobs/7' });
  const input = project({ 'node_modules/@acme/left': { version: '1.0.0', integrity } });
  const { fetched } = await run(input, configured(registry.url));
  expect(fetched).toBe(1);
  expect(registry.paths).toEqual(['/@acme/left/-/left-1.0.0.tgz', '/@acme/left', '/blobs/7']);
});

test('a packument cannot lead to a host that the policy does not name', async () => {
  await using registry = await FakeRegistry.open();
  const dist = { tarball: 'http://127.0.0.1:9/left.tgz' };
  const packument = JSON.stringify({ versions: { '1.0.0': { dist } } });
  registry.answer('/left', (_, response) => response.end(packument));
  await expect(run(leftAlone(somehash), configured(registry.url))).rejects.toMatchObject({
    code: 'package.host_denied',
  });
});

test.each([
  'http://127.0.0.1:9/x',
  'http://169.254.169.254/latest/meta-data',
  'http://[::1]/',
  'http://localhost:9/',
  'file:///etc/passwd',
])('a redirect to %s is refused', async (location) => {
  await using registry = await FakeRegistry.open();
  registry.answer('/left/-/left-1.0.0.tgz', (_, response) =>
    response.writeHead(302, { location }).end(),
  );
  const { entries, log } = memoryLog();
  const attempt = run(leftAlone(somehash), configured(registry.url), { log });
  await expect(attempt).rejects.toMatchObject({ code: 'package.host_denied', facts: { exit: 4 } });
  expect(entries.map(({ type }) => type)).toContain('package.refused');
});

test.each([['127.0.0.1'], ['1.1.1.1', '10.0.0.1'], ['::ffff:169.254.169.254']])(
  'a host that the policy names is refused where its name points to %s',
  async (...addresses) => {
    await using registry = await FakeRegistry.open();
    const host = `b.example:${registry.port}`;
    const options = configured('http://127.0.0.1:9/', { registries: [host] });
    const resolved = `https://${host}/left/-/left-1.0.0.tgz`;
    const resolve = async () => addresses.map((address) => ({ address, family: isIP(address) }));
    const attempt = run(leftAlone(somehash, { resolved }), options, { resolve });
    await expect(attempt).rejects.toMatchObject({
      code: 'package.host_denied',
      message: expect.stringContaining('not public') as string,
    });
    expect(registry.connections).toBe(0);
  },
);

test('a name is resolved once for a connection, which goes where that answer says', async () => {
  await using registry = await FakeRegistry.open();
  const integrity = await registry.publish('left', '1.0.0');
  const answers = [[{ address: '127.0.0.1', family: 4 }]];
  const resolve = async () => answers.shift() ?? [{ address: '127.0.0.9', family: 4 }];
  const options = configured(`http://r.example:${registry.port}/`);
  await expect(run(leftAlone(integrity), options, { resolve })).resolves.toMatchObject({
    fetched: 1,
  });
  expect(answers).toEqual([]);
});

test('a redirect within what the policy names is followed, without the credentials', async () => {
  await using registry = await FakeRegistry.open();
  await using blobs = await FakeRegistry.open();
  const integrity = await blobs.publish('left', '1.0.0');
  const location = `${blobs.url}left/-/left-1.0.0.tgz`;
  registry.answer('/left/-/left-1.0.0.tgz', (_, response) =>
    response.writeHead(302, { location }).end(),
  );
  const options = configured(registry.url, {
    options: { [`//${registry.host}/:_authToken`]: 'very-secret' },
    registries: ['configured', blobs.host],
  });
  await run(leftAlone(integrity), options);
  expect(blobs.requests).toEqual([{ path: '/left/-/left-1.0.0.tgz', authorization: undefined }]);
});

test('redirects end after a handful', async () => {
  await using registry = await FakeRegistry.open();
  registry.answer('/left/-/left-1.0.0.tgz', (_, response) =>
    response.writeHead(302, { location: '/left/-/left-1.0.0.tgz' }).end(),
  );
  await expect(run(leftAlone(somehash), configured(registry.url))).rejects.toMatchObject({
    code: 'package.unavailable',
  });
  expect(registry.requests.length).toBe(6);
});

test('a failing registry is asked again, a refusing one is not', async () => {
  await using registry = await FakeRegistry.open();
  const integrity = await registry.publish('left', '1.0.0');
  registry.answer('/bad/-/bad-1.0.0.tgz', (_, response) => response.writeHead(401).end());
  const bad = project({ 'node_modules/bad': { version: '1.0.0', integrity } });
  await expect(run(bad, configured(registry.url))).rejects.toThrow('answered 401');
  expect(registry.requests.length).toBe(1);

  registry.answer('/sick/-/sick-1.0.0.tgz', (_, response) => response.writeHead(503).end());
  const sick = project({ 'node_modules/sick': { version: '1.0.0', integrity } });
  await expect(run(sick, configured(registry.url))).rejects.toMatchObject({
    code: 'package.unavailable',
    facts: { retry: true },
  });
  expect(registry.requests.length).toBe(4);
});

test('a body that is cut off is fetched again', async () => {
  await using registry = await FakeRegistry.open();
  const integrity = await registry.publish('left', '1.0.0');
  let times = 0;
  registry.answer('/flaky/-/flaky-1.0.0.tgz', (_, response) => {
    times += 1;
    if (times === 1) response.writeHead(200, { 'content-length': 5000 }).write('x');
    if (times === 1) setTimeout(() => response.destroy(), 20);
    else response.writeHead(302, { location: '/left/-/left-1.0.0.tgz' }).end();
  });
  const flaky = project({ 'node_modules/flaky': { version: '1.0.0', integrity } });
  await expect(run(flaky, configured(registry.url))).resolves.toMatchObject({ fetched: 1 });
  expect(times).toBe(2);
});

test('a package or a sum that is too large is refused, whatever the header says', async () => {
  await using registry = await FakeRegistry.open();
  registry.answer('/left/-/left-1.0.0.tgz', (_, response) => {
    response.write(Buffer.alloc(900_000));
    response.end(Buffer.alloc(900_000));
  });
  await expect(run(leftAlone(somehash), configured(registry.url))).rejects.toMatchObject({
    code: 'package.unsupported',
    message: expect.stringContaining('larger than the 1000000 bytes') as string,
  });

  const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j'];
  const entries = await Promise.all(
    names.map(async (name) => {
      const integrity = await registry.publish(name, '1.0.0');
      return [`node_modules/${name}`, { version: '1.0.0', integrity }] as const;
    }),
  );
  const options = configured(registry.url);
  const policy = { ...limits, registries: ['configured'], totalBytes: 500 };
  const all = project(Object.fromEntries(entries));
  await expect(run(all, { ...options, policy })).rejects.toMatchObject({
    code: 'package.unsupported',
  });
});

test('a gzip that unpacks to more than is allowed is cut off', async () => {
  await using registry = await FakeRegistry.open();
  const { gzipSync } = await import('node:zlib');
  registry.answer('/left/-/left-1.0.0.tgz', (_, response) =>
    response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(Buffer.alloc(50_000_000))),
  );
  await expect(run(leftAlone(somehash), configured(registry.url))).rejects.toMatchObject({
    code: 'package.unsupported',
  });
});

test('the caller’s signal stops a fetch that hangs, and the record says so', async () => {
  const server = createServer(() => undefined).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const stop = new AbortController();
  server.once('request', () => stop.abort(new Error('enough')));
  const { entries, log } = memoryLog();
  const options = configured(`http://127.0.0.1:${port}/`);
  const attempt = run(leftAlone(somehash), options, { log, signal: stop.signal });
  await expect(attempt).rejects.toThrow('enough');
  expect(entries.at(-2)).toMatchObject({ stage: 'result', data: { reason: 'stopped' } });
  server.closeAllConnections();
  server.close();
});

test('one bad package stops its neighbours, and only it is recorded as refused', async () => {
  await using registry = await FakeRegistry.open();
  await registry.publish('left', '1.0.0');
  registry.answer('/slow/-/slow-1.0.0.tgz', () => undefined);
  const { entries, log } = memoryLog();
  const other = `sha512-${'B'.repeat(85)}A==`;
  const both = project({
    'node_modules/left': { version: '1.0.0', integrity: somehash },
    'node_modules/slow': { version: '1.0.0', integrity: other },
  });
  await expect(run(both, configured(registry.url), { log })).rejects.toThrow('left@1.0.0');
  const refused = entries.filter(({ type }) => type === 'package.refused');
  expect(refused).toMatchObject([{ data: { name: 'left' } }]);
  const results = entries.filter(({ stage }) => stage === 'result');
  expect(results).toHaveLength(2);
});

test('a cache whose content went missing is built again, from the store alone', async () => {
  await using registry = await FakeRegistry.open();
  const integrity = await registry.publish('left', '1.0.0');
  const cacheDir = await temporaryFolder();
  const { dir } = await run(leftAlone(integrity), configured(registry.url), { cacheDir });
  await writeFile(join(dir, 'provision.json'), '{');
  const again = await run(leftAlone(integrity), configured(registry.url), { cacheDir });
  expect(again).toMatchObject({ dir, fetched: 0 });
  expect(registry.requests.length).toBe(1);
});

test('content that was damaged on disk is thrown away and fetched again', async () => {
  await using registry = await FakeRegistry.open();
  const integrity = await registry.publish('left', '1.0.0');
  const cacheDir = await temporaryFolder();
  const { dir } = await run(leftAlone(integrity), configured(registry.url), { cacheDir });
  // Store and cache are the same bytes on disk: one damage hits both.
  await truncate(contentPath(join(dir, '_cacache'), integrity), 10);
  const again = await run(leftAlone(integrity), configured(registry.url), { cacheDir });
  expect(again).toMatchObject({ dir, fetched: 1 });
  const whole = await cacache.get.byDigest(join(dir, '_cacache'), integrity);
  expect(whole.length).toBeGreaterThan(50);
});

test('two runs at once build one cache between them', async () => {
  await using registry = await FakeRegistry.open();
  const integrity = await registry.publish('left', '1.0.0');
  const cacheDir = await temporaryFolder();
  const go = () => run(leftAlone(integrity), configured(registry.url), { cacheDir });
  const [one, two] = await Promise.all([go(), go()]);
  expect(one.dir).toBe(two.dir);
  expect((await readdir(join(cacheDir, 'caches'))).length).toBe(1);
  await expect(go()).resolves.toMatchObject({ fetched: 0 });
});

test('another user can read the cache and write beside its content', async () => {
  await using registry = await FakeRegistry.open();
  const integrity = await registry.publish('left', '1.0.0');
  const { dir } = await run(leftAlone(integrity), configured(registry.url));
  const cache = join(dir, '_cacache');
  expect((await stat(cache)).mode & 0o777).toBe(0o777);
  expect((await stat(contentPath(cache, integrity))).mode & 0o777).toBe(0o444);
});

test('a list without packages still gives a cache', async () => {
  const options = configured('http://127.0.0.1:9/');
  const list = await planProvision(project({}).lockfile, project({}).manifest, options);
  expect(list.packages).toEqual([]);
  await expect(run(project({}), options)).resolves.toMatchObject({ packages: 0, fetched: 0 });
});

test('npm’s flat options give registry, scopes and the rule for hosts', () => {
  const npm = npmConfigFrom({
    registry: 'https://me:pw@r.example/npm',
    '@a:registry': 'https://a.example',
    replaceRegistryHost: 'never',
  });
  expect(npm).toMatchObject({
    registry: 'https://r.example/npm/',
    scopes: { '@a': 'https://a.example/' },
    replaceRegistryHost: 'never',
  });
});

async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((e) => e.isFile()).map((e) => join(e.parentPath, e.name));
}
