import { chmod, chown, mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { spellToken } from '#contract/tokens.ts';
import { chooseHost } from '#cli/client/host.ts';
import { withCredentials } from '#cli/client/credentials.ts';
import type { NetworkAddress } from '#cli/client/address.ts';
import { daemonWithRun, FakeDaemon, runId } from '#test/support/fake-daemon.ts';
import { networkFront } from '#test/support/network-front.ts';
import { orchestra } from '#test/support/run-orchestra.ts';
import { tempDir } from '#test/support/temp-dir.ts';

const token = spellToken(new Uint8Array(32).fill(3));
let dir: Awaited<ReturnType<typeof tempDir>>;
let file: string;

beforeEach(async () => {
  dir = await tempDir();
  file = path.join(dir.path, 'token');
  await writeFile(file, `${token}\n`, { mode: 0o600 });
});
afterEach(async () => {
  await dir[Symbol.asyncDispose]();
});

async function ran(
  args: readonly string[],
  env: Record<string, string> = {},
  input?: string,
): Promise<{ code: number; out: string; err: string }> {
  const around = { cwd: dir.path, env, ...(input === undefined ? {} : { input }) };
  const run = orchestra(args, around);
  return { code: await run.code, out: run.out(), err: run.err() };
}

async function someDaemon(): Promise<FakeDaemon> {
  const daemon = await FakeDaemon.open();
  return daemon.answer('runList', { json: { items: [] } }).answer('version', {
    json: { product: 'orchestra', version: '1.2.3', api: 'v1', node: 'v24' },
  });
}

test.each([
  ['http://ci.example.com:7457', 'in clear'],
  ['http://127.0.0.1.evil.example:80', 'in clear'],
  ['http://127.evil.example', 'in clear'],
  ['http://10.0.0.1:7457', 'in clear'],
  ['https://user:secret@ci.example.com', 'not the address'],
  ['https://ci.example.com/path', 'not the address'],
  ['https://ci.example.com/?token=secret', 'not the address'],
  ['https://', 'not the address'],
])('the address %s is refused, and nothing secret of it is said again', (text, why) => {
  const refused = () => chooseHost(text, {});
  expect(refused).toThrow(expect.objectContaining({ code: 'usage.invalid' }));
  expect(refused).toThrow(why);
  expect(refused).not.toThrow('secret');
});

test.each([
  ['https://ci.example.com:7457', 'ci.example.com', 7457, true],
  ['https://CI.example.com', 'ci.example.com', 443, true],
  ['https://[::1]:7457', '::1', 7457, true],
  ['http://127.0.0.1:7457', '127.0.0.1', 7457, false],
  ['http://localhost:7457/', 'localhost', 7457, false],
])('the address %s is taken', (text, host, port, tls) => {
  expect(chooseHost(text, {}).address).toMatchObject({ kind: 'network', host, port, tls });
});

const address = chooseHost('https://ci.example.com:7457', {}).address as NetworkAddress;
const read = async (env: Record<string, string>) =>
  withCredentials(address, { HOME: dir.path, ORCHESTRA_TOKEN_FILE: file, ...env });

test.each<[string, () => Promise<unknown>, RegExp]>([
  ['that others may read', async () => chmod(file, 0o604), /can be read by others/],
  ['that its group may read', async () => chmod(file, 0o640), /can be read by others/],
  ['of somebody else', async () => chown(file, 65_534, 65_534), /belongs to somebody else/],
  ['that is not there', () => Promise.resolve((file += '.x')), /cannot be read/],
  ['that is a folder', async () => mkdir((file += '.d')), /is no file|cannot be read/],
  ['with half a token', async () => writeFile(file, token.slice(0, 30)), /not a whole token/],
  ['with two lines', async () => writeFile(file, `${token}\n${token}\n`), /not a whole token/],
  ['with something else', async () => writeFile(file, 'hunter2-hunter2'), /not a whole token/],
])('a token file %s is refused, and its content is not said', async (_what, spoil, why) => {
  await spoil();
  const error = await read({}).catch((cause: Error) => cause);
  expect((error as Error).message).toMatch(why);
  expect(JSON.stringify(error)).not.toMatch(/orc_[0-9A-Za-z]{4}|hunter2/);
});

test('a token is read from the file of that name, else from the login to exactly this daemon', async () => {
  expect(await read({})).toMatchObject({ token });
  const tokens = path.join(dir.path, '.config/orchestra/tokens');
  await mkdir(tokens, { recursive: true });
  await writeFile(path.join(tokens, encodeURIComponent(address.url)), token, { mode: 0o600 });
  expect(await read({ ORCHESTRA_TOKEN_FILE: '' })).toMatchObject({ token });
  const other = { ...address, url: 'https://ci.example.com:7458' };
  expect(await withCredentials(other, { HOME: dir.path })).toMatchObject({ token: undefined });
});

test('a certificate that nobody vouches for ends with 5 and the way out, and no token is shown', async () => {
  await using daemon = await someDaemon();
  await using front = await networkFront(daemon, { dir: dir.path });
  const { code, err } = await ran(['runs', '--host', front.url], { ORCHESTRA_TOKEN_FILE: file });
  expect(code).toBe(5);
  expect(err).toMatch(/nobody whom this machine trusts[^]*ORCHESTRA_CA_FILE/);
  expect(front.shown).toEqual([]);
});

test('a certificate of another name ends with 5, and no token is shown', async () => {
  await using daemon = await someDaemon();
  await using front = await networkFront(daemon, { dir: dir.path, names: 'DNS:other.example' });
  const env = { ORCHESTRA_TOKEN_FILE: file, ORCHESTRA_CA_FILE: front.cert };
  const { code, err } = await ran(['runs', '--host', front.url], env);
  expect([code, front.shown]).toEqual([5, []]);
  expect(err).toContain('its certificate is not for 127.0.0.1');
});

test('nothing that listens, and something that speaks no TLS, are two stories', async () => {
  const plain = createServer((_incoming, outgoing) => outgoing.end());
  await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve));
  const { port } = plain.address() as AddressInfo;
  const spoken = await ran(['runs', '--host', `https://127.0.0.1:${port}`]);
  expect(spoken).toMatchObject({ code: 5, err: /does not speak TLS/ });
  await new Promise((resolve) => plain.close(resolve));
  const refused = await ran(['runs', '--host', `https://127.0.0.1:${port}`]);
  expect(refused).toMatchObject({ code: 5, err: /nothing listens there/ });
});

test('without a token, and with one that is over, the command ends with 5 and says what to do', async () => {
  await using daemon = await someDaemon();
  await using front = await networkFront(daemon, { dir: dir.path, token });
  const env = { ORCHESTRA_CA_FILE: front.cert };
  expect(await ran(['runs', '--host', front.url], env)).toMatchObject({
    code: 5,
    err: /token\.missing[^]*orchestra login/,
  });
  await writeFile(file, spellToken(new Uint8Array(32).fill(4)));
  const old = await ran(['runs', '--host', front.url], { ...env, ORCHESTRA_TOKEN_FILE: file });
  expect(old).toMatchObject({ code: 5, err: /token\.expired/ });
});

test('commands, records as they come, and uploads go over TLS with the token and the name of the daemon', async () => {
  await using daemon = await daemonWithRun();
  daemon.answer('secretSet', ({ params, body }) => ({
    json: { name: params['name'], bytes: (body as Buffer).length },
  }));
  await using front = await networkFront(daemon, { dir: dir.path, token });
  const env = {
    ORCHESTRA_HOST: front.url,
    ORCHESTRA_CA_FILE: front.cert,
    ORCHESTRA_TOKEN_FILE: file,
  };
  const watched = await ran(['watch', runId, '--output', 'plain'], env);
  expect([watched.code, watched.err]).toEqual([0, expect.not.stringContaining('✗')]);
  const large = 'x'.repeat(60 * 1024);
  expect(await ran(['secret', 'set', 'A'], env, large)).toMatchObject({ code: 0 });
  expect(new Set(front.shown)).toEqual(new Set([`Bearer ${token}`]));
  expect(new Set(front.hosts)).toEqual(new Set([`127.0.0.1:${front.port}`]));
});

test('a log is remembered for the daemon of the network like for a socket', async () => {
  await using daemon = await someDaemon();
  await using front = await networkFront(daemon, { dir: dir.path, token });
  const env = { ORCHESTRA_CA_FILE: front.cert, ORCHESTRA_TOKEN_FILE: file };
  const said = { size: 1, hash: 'a'.repeat(64), origin: 'one' };
  daemon.answer('auditHead', { json: said });
  daemon.answer('auditVerify', { json: { exit_code: 0, verdict: 'ok', records: 1 } });
  await ran(['audit', 'verify', '--host', front.url], env);
  const heads = await readFile(path.join(dir.path, '.state/orchestra-cli/heads.json'), 'utf8');
  expect(JSON.parse(heads)).toMatchObject({ sockets: { [front.url]: 'one' } });
});

test('login keeps a token only after the daemon took it, for its user alone; logout forgets it', async () => {
  await using daemon = await someDaemon();
  await using front = await networkFront(daemon, { dir: dir.path, token });
  const env = { ORCHESTRA_CA_FILE: front.cert };
  const wrong = spellToken(new Uint8Array(32).fill(9));
  const tokens = path.join(dir.path, '.config/orchestra/tokens');
  for (const text of ['', 'what is this', wrong, `${token}x`]) {
    expect(await ran(['login', front.url], env, text)).toMatchObject({ code: 5 });
  }
  await expect(readdir(tokens)).rejects.toThrow('ENOENT');
  const { code, out, err } = await ran(['login', front.url], env, ` ${token}\r\n`);
  expect([code, out]).toEqual([0, `logged in to ${front.url}, orchestrad 1.2.3\n`]);
  expect(out + err).not.toContain(token);
  const [name = ''] = await readdir(tokens);
  expect((await stat(path.join(tokens, name))).mode & 0o777).toBe(0o600);
  expect((await stat(tokens)).mode & 0o077).toBe(0);
  expect(await ran(['runs', '--host', front.url], env)).toMatchObject({ code: 0 });
  expect(await ran(['logout', front.url], env)).toMatchObject({ code: 0, out: /logged out/ });
  expect(await ran(['runs', '--host', front.url], env)).toMatchObject({ code: 5 });
  expect(await ran(['logout', front.url], env)).toMatchObject({
    code: 0,
    out: /there was no login/,
  });
});

test('a link that somebody put where the token goes is replaced and not followed', async () => {
  await using daemon = await someDaemon();
  await using front = await networkFront(daemon, { dir: dir.path, token });
  const tokens = path.join(dir.path, '.config/orchestra/tokens');
  await mkdir(tokens, { recursive: true });
  const trap = path.join(dir.path, 'trap');
  await writeFile(trap, 'mine', { mode: 0o644 });
  await symlink(trap, path.join(tokens, encodeURIComponent(front.url)));
  expect(await ran(['login', front.url], { ORCHESTRA_CA_FILE: front.cert }, token)).toMatchObject({
    code: 0,
  });
  expect(await readFile(trap, 'utf8')).toBe('mine');
});

test('on a socket there is nothing to log in to', async () => {
  const { code, err } = await ran(['login', 'unix:///run/x.sock'], {}, token);
  expect([code, err]).toEqual([1, expect.stringContaining('the kernel says who you are')]);
});

const row = {
  id: 't-0123456789',
  uid: 1000,
  user: 'maria\u001b[2J',
  roles: ['runner'],
  scopes: ['runs:read'],
  state: 'active',
  created_at: '2026-01-01T00:00:00.000Z',
  expires_at: '2026-02-01T00:00:00.000Z',
};

test('a new token is the only thing on stdout; in a file it is for its user alone and not shown', async () => {
  await using daemon = await FakeDaemon.open();
  daemon.answer('tokenCreate', { json: { ...row, token } });
  const args = ['token', 'create', '--host', daemon.host, '--role', 'runner,viewer'];
  const shown = await ran([...args, '--scope', 'runs:read', '--expires', '12h', '--note', 'ci']);
  expect(shown).toMatchObject({ code: 0, out: `${token}\n` });
  expect(shown.err).not.toContain(token);
  expect(shown.err).not.toContain('\u001b[2J');
  expect(daemon.asked.at(-1)?.body).toEqual({
    roles: ['runner', 'viewer'],
    scopes: ['runs:read'],
    expiresMs: 43_200_000,
    note: 'ci',
  });
  const out = path.join(dir.path, 'new');
  for (const more of [[], ['--json']]) {
    const kept = await ran([...args, '-o', `${out}${more.length}`, ...more]);
    expect(kept.code).toBe(0);
    expect(kept.out + kept.err).not.toContain(token);
    expect((await stat(`${out}${more.length}`)).mode & 0o777).toBe(0o600);
  }
});

test('no token is made where it could not be written down, or of roles that there are not', async () => {
  await using daemon = await FakeDaemon.open();
  const args = ['token', 'create', '--host', daemon.host];
  expect(await ran([...args, '-o', file])).toMatchObject({ code: 1 });
  expect(await ran([...args, '--role', 'root'])).toMatchObject({ code: 1, err: /choose from/ });
  expect(await ran([...args, '--scope', 'everything'])).toMatchObject({ code: 1 });
  expect(await ran([...args, '--expires', 'soon'])).toMatchObject({ code: 1 });
  expect(daemon.namesAsked()).toEqual([]);
  daemon.answer('tokenCreate', { problem: 'access.denied' });
  const out = path.join(dir.path, 'refused');
  expect(await ran([...args, '-o', out])).toMatchObject({ code: 6 });
  await expect(stat(out)).rejects.toThrow('ENOENT');
});

test('whoever gives the token in place of its id does not find it in the error', async () => {
  const { code, err } = await ran(['token', 'revoke', token, '--host', 'unix:///x.sock']);
  expect(code).toBe(1);
  expect(err).not.toContain(token);
});
