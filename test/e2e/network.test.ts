import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { spellToken } from '#contract/tokens.ts';
import { makeCertificate } from '#test/support/certificate.ts';
import { runCli, TestDaemon, type Ran } from '#test/support/daemon.ts';
import { tempDir } from '#test/support/temp-dir.ts';

let dir: Awaited<ReturnType<typeof tempDir>>;
let daemon: TestDaemon;
let url: string;
let cert: string;

beforeAll(async () => {
  dir = await tempDir();
  const tls = makeCertificate(dir.path);
  ({ cert } = tls);
  const port = await freePort();
  url = `https://127.0.0.1:${port}`;
  const config = join(dir.path, 'orchestrad.yaml');
  const { key } = tls;
  await writeFile(
    config,
    JSON.stringify({ listen: [{ address: `127.0.0.1:${port}`, tls: { cert, key } }] }),
  );
  daemon = await TestDaemon.start(['--config', config]);
}, 60_000);
afterAll(async () => {
  await daemon[Symbol.asyncDispose]();
  await dir[Symbol.asyncDispose]();
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** The CLI as somebody on another machine has it: without the socket. */
async function over(args: readonly string[], token: string): Promise<Ran> {
  const home = join(dir.path, 'home');
  return runCli(args, {
    cwd: dir.path,
    env: {
      HOME: home,
      XDG_STATE_HOME: join(home, 'state'),
      XDG_CACHE_HOME: join(home, 'cache'),
      ORCHESTRA_HOST: url,
      ORCHESTRA_CA_FILE: cert,
      ORCHESTRA_TOKEN_FILE: token,
    },
  });
}

async function make(...options: string[]): Promise<{ file: string; id: string; text: string }> {
  const file = join(dir.path, `token-${Math.random()}`);
  const made = await daemon.cli(['token', 'create', '--json', '-o', file, ...options]);
  expect([made.code, made.stderr.includes('✗')]).toEqual([0, false]);
  const { id } = JSON.parse(made.stdout) as { id: string };
  return { file, id, text: (await readFile(file, 'utf8')).trim() };
}

test('a task runs over the network with a token, and stops being to be had when it is revoked', async () => {
  const { file, id } = await make('--role', 'runner');
  const ran = await over(['exec', '--', 'echo', 'from-afar'], file);
  expect([ran.code, ran.stdout]).toEqual([0, expect.stringContaining('from-afar')]);
  const who = await over(['whoami', '--json'], file);
  expect(JSON.parse(who.stdout)).toMatchObject({ roles: [{ role: 'runner' }] });
  expect((await over(['audit', 'list'], file)).code).toBe(6);
  expect((await daemon.cli(['token', 'revoke', id])).code).toBe(0);
  const after = await over(['runs'], file);
  expect([after.code, after.stderr]).toEqual([5, expect.stringContaining('token.revoked')]);
}, 120_000);

test('a token that is cut, forged or missing gets nowhere, and each try is on record', async () => {
  const { text } = await make();
  const shown: [string, string][] = [
    ['cut', text.slice(0, -1)],
    ['forged', spellToken(randomBytes(32))],
  ];
  for (const [name, token] of shown) {
    const file = join(dir.path, name);
    await writeFile(file, token, { mode: 0o600 });
    expect((await over(['runs'], file)).code).toBe(5);
    expect(await statusOf('/v1/runs', token)).toBe(401);
  }
  expect(await statusOf('/v1/runs')).toBe(401);
  const { stdout } = await daemon.cli(['audit', 'list', '--type', 'auth.failed', '--json']);
  for (const reason of ['malformed', 'unknown', 'missing']) expect(stdout).toContain(reason);
  expect(stdout).not.toContain(text.slice(0, 20));
}, 60_000);

test('no token is anywhere in the state of the daemon or in what it said', async () => {
  const { file, text } = await make();
  expect((await over(['runs'], file)).code).toBe(0);
  const { status, stdout } = spawnSync('grep', ['-rlaF', text, daemon.stateDir]);
  // 1: it looked everywhere and found nothing.
  expect([status, stdout.toString()]).toEqual([1, '']);
  expect(daemon.output).not.toContain(text);
});

async function statusOf(path: string, token?: string): Promise<number> {
  const ca = await readFile(cert);
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  return new Promise((resolve, reject) => {
    request(`${url}${path}`, { ca, headers, agent: false }, (answer) => {
      answer.resume();
      resolve(answer.statusCode ?? 0);
    })
      .on('error', reject)
      .end();
  });
}
