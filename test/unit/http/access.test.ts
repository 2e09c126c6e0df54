import { spawn } from 'node:child_process';
import { chmod, readFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { roles, type Role } from '#contract/access.ts';
import { endpoints, type Endpoint, type EndpointName } from '#contract/api.ts';
import type { Identity } from '#daemon/access/caller.ts';
import { Callers } from '#daemon/access/callers.ts';
import { Refusals } from '#daemon/access/refusals.ts';
import type { RoleMap } from '#daemon/access/role-map.ts';
import { openIndex } from '#daemon/audit/index-db.ts';
import { openLog } from '#daemon/audit/log.ts';
import type { EdgeDeps, Routes } from '#daemon/http/app.ts';
import { allRoutes } from '#daemon/http/routes/index.ts';
import { serve } from '#daemon/http/server.ts';
import { Orchestra, ofType, user } from '#test/support/orchestra.ts';
import { edgeDeps } from '#test/support/edge.ts';
import { tempDir } from '#test/support/temp-dir.ts';

type Answer = { status: number; body: string };
type Ask = (
  row: { method: string; path: string },
  headers?: Record<string, string>,
) => Promise<Answer>;

const rows = Object.entries(endpoints) as [EndpointName, Endpoint][];

/** Whoever a test says is calling, with the roles that it says. */
function callersAs(who: () => { identity: Identity; roles: readonly Role[] }): Callers {
  const granted = () => who().roles.map((role) => ({ role, by: 'the test' }));
  const map: RoleMap = { granted, rolesOf: () => new Set(who().roles) };
  const read = () => Promise.resolve(who().identity);
  return new Callers({ readers: [{ proof: 'peer', missing: undefined, read }], roles: map });
}

function asking(socketPath: string): Ask {
  return ({ method, path }, headers = {}) =>
    new Promise((resolve, reject) => {
      const type = method === 'POST' ? { 'content-type': 'application/json' } : {};
      const call = request(
        { socketPath, method, path, headers: { ...type, ...headers } },
        (answer) => {
          let body = '';
          answer.on('data', (part) => (body += String(part)));
          answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body }));
          answer.on('error', reject);
        },
      );
      call.on('error', reject);
      call.end(method === 'POST' ? '{}' : undefined);
    });
}

function filled(
  row: Endpoint,
  params: Record<string, string> = {},
): { method: string; path: string } {
  const path = row.path.replaceAll(/:(\w+)/g, (_all, name: string) => params[name] ?? '0');
  return { method: row.method, path };
}

/** The table in the documentation, which says by hand what the contract says. */
async function documented(): Promise<Map<string, readonly string[]>> {
  const text = await readFile('docs/ACCESS.md', 'utf8');
  const lines = text.split('\n').filter((line) => /^\| .* \| (?:`\w+` ?)+\s*\|$/.test(line));
  return new Map(
    lines.flatMap((line) => {
      const [, who = '', calls = ''] = line.split('|').map((cell) => cell.trim());
      return calls
        .split(' ')
        .map((call): [string, string[]] => [
          call.replaceAll('`', ''),
          who.split(' ').map((word) => word.replaceAll('`', '')),
        ]);
    }),
  );
}

test('the page names every call, and nothing that is none', async () => {
  const page = await documented();
  expect([...page.keys()].sort()).toEqual(Object.keys(endpoints).sort());
});

describe('each call by each role', () => {
  let ask: Ask;
  let now: readonly Role[] = [];
  let page: Map<string, readonly string[]>;
  const reached: string[] = [];
  const open = new AsyncDisposableStack();

  beforeAll(async () => {
    const dir = open.use(await tempDir());
    const log = await openLog({ dir: join(dir.path, 'audit'), version: '0', origin: 'test' });
    open.defer(() => log.close());
    page = await documented();
    const routes = new Proxy({} as Routes, {
      get: (_, name) => () => {
        reached.push(String(name));
        return Promise.resolve({});
      },
    });
    const identity: Identity = { auth: 'peer', uid: 1000, gid: 1000 };
    const deps: EdgeDeps = {
      ...(await edgeDeps({ log })),
      refusals: new Refusals({ log, each: 1 }),
      callers: callersAs(() => ({ identity, roles: now })),
      findRun: (id) => ({ id, owner: 'uid:1000' }),
    };
    const socket = join(dir.path, 'o.sock');
    const server = await serve(deps, routes, { socket, isPassed: false });
    open.defer(() => server.close(100));
    ask = asking(socket);
  });
  afterAll(() => open.disposeAsync());

  test.each(rows)(
    '%s is answered to those whom the page names, and to nobody else',
    async (name, row) => {
      const who = page.get(name) ?? [];
      for (const role of [undefined, ...roles]) {
        now = role === undefined ? [] : [role];
        reached.length = 0;
        const { status, body } = await ask(filled(row));
        const may =
          who.includes('anyone') ||
          (role !== undefined && (role === 'admin' || who.includes('any') || who.includes(role)));
        // What is let in may still be refused for what it says: nothing was said.
        expect([role, status !== 403], body).toEqual([role, may]);
        if (!may) {
          expect(JSON.parse(body)).toMatchObject({ code: 'access.denied', exit_code: 6 });
          expect(reached).toEqual([]);
        }
      }
    },
  );
});

describe('the run of another user', () => {
  let it: Orchestra;
  let ask: Ask;
  let mine: Ask;
  let theirs: string;
  let who: { identity: Identity; roles: readonly Role[] };
  const open = new AsyncDisposableStack();
  const bob = { auth: 'peer', uid: 1001, gid: 1001 } as const;

  beforeAll(async () => {
    it = open.use(await Orchestra.open());
    const dist = { name: 'dist', path: 'dist.txt' };
    theirs = await it.run([{ id: 'build', tool: 'node', args: ['build.js'], outputs: [dist] }]);
    const { rooms, log } = it;
    const index = await openIndex({ dir: rooms.auditDir, log });
    open.defer(() => index.close());
    const routes = allRoutes({
      runs: rooms.runs,
      runsDeps: rooms.deps,
      index,
      auditDir: rooms.auditDir,
      checkpoints: rooms.deps.trail,
      access: rooms.access,
      readers: [],
      settings: [],
      doctor: () => Promise.resolve([]),
      isStopping: () => false,
    });
    const deps: EdgeDeps = {
      ...(await edgeDeps({ log, runs: rooms.runs })),
      refusals: new Refusals({ log, each: 1000 }),
      callers: callersAs(() => who),
      isRun: (id) => rooms.deps.states.find(id) !== undefined,
    };
    const socket = join(it.stateDir, 'o.sock');
    const server = await serve(deps, routes, { socket, isPassed: false });
    open.defer(() => server.close(100));
    ask = async (row, headers) => {
      who = { identity: bob, roles: ['runner'] };
      return asking(socket)(row, headers);
    };
    mine = async (row, headers) => {
      who = { identity: { auth: 'peer', uid: user.uid ?? 0 }, roles: ['runner'] };
      return asking(socket)(row, headers);
    };
  });
  afterAll(() => open.disposeAsync());

  const underRun = rows.filter(([, { path }]) => /^\/v1\/runs\/:id(?:\/|$)/.test(path));
  const nowhere = 'r-zzzzzzzzzz';
  const words = ({ status, body }: Answer, id: string) => ({
    status,
    body: body.replaceAll(id, 'ID').replaceAll(/urn:orchestra:request:[\w-]+/g, 'REQUEST'),
  });

  test.each(underRun)('%s answers as if it were not there', async (_name, row) => {
    const params = { task: 'build', name: 'dist', digest: `sha256:${'0'.repeat(64)}` };
    const absent = words(await ask(filled(row, { ...params, id: nowhere })), nowhere);
    const foreign = words(await ask(filled(row, { ...params, id: theirs })), theirs);
    expect(absent.status).toBe(404);
    expect(absent.body).toContain('run.unknown');
    expect(foreign).toEqual(absent);
  });

  test('is in no list, and no beginning, no @last and no cursor leads to it', async () => {
    const list = JSON.parse((await ask({ method: 'GET', path: '/v1/runs' })).body) as unknown;
    expect(list).toEqual({ items: [] });
    for (const reference of [theirs.slice(0, 5), theirs.slice(2), '@last', '@last-failed']) {
      const { status } = await ask({ method: 'GET', path: `/v1/runs/${reference}` });
      expect([reference, status]).toEqual([reference, 404]);
    }
    const after = await ask({ method: 'GET', path: `/v1/runs?cursor=${theirs}` });
    expect(JSON.parse(after.body)).toEqual({ items: [] });
    expect((await mine({ method: 'GET', path: '/v1/runs/@last' })).status).toBe(200);
  });

  test('that somebody tried is on record all the same', async () => {
    await ask({ method: 'GET', path: `/v1/runs/${theirs}/plan` });
    await expect
      .poll(async () => ofType(await it.records(), 'access.denied'))
      .toContainEqual(
        expect.objectContaining({
          actor: expect.objectContaining({ uid: 1001, roles: ['runner'] }) as unknown,
          data: expect.objectContaining({ route: `GET /v1/runs/${theirs}/plan` }) as unknown,
        }),
      );
  });

  test('is read by a viewer, and steered by nobody but its user and an admin', async () => {
    const path = `/v1/runs/${theirs}/cancel`;
    const socket = join(it.stateDir, 'o.sock');
    const as = async (roles: readonly Role[], row: { method: string; path: string }) => {
      who = { identity: bob, roles };
      return (await asking(socket)(row)).status;
    };
    expect(await as(['viewer'], { method: 'GET', path: `/v1/runs/${theirs}` })).toBe(200);
    expect(await as(['auditor'], { method: 'GET', path: `/v1/runs/${theirs}` })).toBe(200);
    expect(await as(['approver'], { method: 'GET', path: `/v1/runs/${theirs}` })).toBe(404);
    expect(await as(['viewer', 'runner'], { method: 'POST', path })).toBe(403);
    // Over already: it is let in, and too late.
    expect(await as(['admin'], { method: 'POST', path })).toBe(409);
  });

  test('lends nobody its workspace: its digest is unknown to others', async () => {
    const digest = it.rooms.deps.states.find(theirs)?.snapshot ?? '';
    const row = filled(endpoints.snapshotFind, { digest });
    expect((await mine(row)).status).toBe(200);
    const absent = `sha256:${'0'.repeat(64)}`;
    const foreign = await ask(row);
    const none = await ask(filled(endpoints.snapshotFind, { digest: absent }));
    expect(words(foreign, digest)).toEqual(words(none, absent));
  });
});

describe('over a real socket', () => {
  const isRoot = process.getuid?.() === 0;
  // As root there are others to be; else the test is its own peer.
  const other = isRoot ? { uid: 64_999, gid: 64_998 } : {};
  const uid = other.uid ?? process.getuid?.();

  const script = `
    const [socketPath, path, headers] = process.argv.slice(1);
    require('node:http').get({ socketPath, path, headers: JSON.parse(headers) }, (answer) => {
      answer.on('data', (part) => process.stdout.write(part));
    });`;

  async function asOther(socket: string, path: string, headers = {}): Promise<unknown> {
    const child = spawn(process.execPath, ['-e', script, socket, path, JSON.stringify(headers)], {
      ...other,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const text = (await Array.fromAsync(child.stdout as AsyncIterable<Buffer>)).join('');
    return JSON.parse(text) as unknown;
  }

  test('the kernel says who calls, and nothing that the caller says changes it', async () => {
    await using dir = await tempDir();
    await chmod(dir.path, 0o755);
    const log = await openLog({ dir: join(dir.path, 'audit'), version: '0', origin: 'test' });
    const deps = await edgeDeps({ log });
    const seen = ({ caller }: { caller: { identity: Identity } }) =>
      Promise.resolve(caller.identity);
    const routes = new Proxy({} as Routes, { get: () => seen });
    const socket = join(dir.path, 'o.sock');
    const server = await serve(deps, routes, { socket, isPassed: false });
    await chmod(socket, 0o666);
    const forged = {
      uid: '0',
      'x-uid': '0',
      'x-remote-user': 'root',
      cookie: 'uid=0',
      forwarded: 'by=root',
    };
    expect(await asOther(socket, '/v1/whoami?uid=0', forged)).toMatchObject({
      auth: 'peer',
      uid,
      ...(isRoot ? { gid: other.gid, gids: [other.gid] } : {}),
    });
    expect(await asOther(socket, '/v1/whoami', { authorization: 'Bearer orc_x' })).toMatchObject({
      code: 'access.denied',
    });
    if (isRoot) {
      expect(await asOther(socket, '/v1/audit/records')).toMatchObject({ code: 'access.denied' });
    }
    await server.close(100);
    await log.close();
  });
});
