import { request, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { AuditPage, AuditShown, AuditStats } from '#contract/audit.ts';
import type { RunId } from '#contract/ids.ts';
import type { AnyRecord, LogRecord } from '#contract/records.ts';
import { openIndex, type LogIndex } from '#daemon/audit/index-db.ts';
import { allRoutes } from '#daemon/http/routes/index.ts';
import { serve, type Listening } from '#daemon/http/server.ts';
import { edgeDeps } from '#test/support/edge.ts';
import { Orchestra, ofType } from '#test/support/orchestra.ts';
import { verifyPath } from '#verifier/verify-path.ts';
import { parseProof, parseSignedCheckpoint } from '#verifier/tlog/checkpoint.ts';
import { includes, leafHash } from '#verifier/tlog/merkle.ts';

let it: Orchestra;
let index: LogIndex;
let server: Listening;
let socketPath: string;
let first: RunId;
let second: RunId;
let from: number;

beforeAll(async () => {
  it = await Orchestra.open();
  const { rooms, log } = it;
  socketPath = join(it.stateDir, 'edge', 'api.sock');
  index = await openIndex({ dir: rooms.auditDir, log });
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
  const deps = await edgeDeps({ log, runs: rooms.runs, vault: rooms.deps.vault });
  server = await serve(deps, routes, { socket: socketPath, isPassed: false });
  first = await it.run([{ id: 'build', tool: 'node', args: ['x.js'] }]);
  second = await it.run([{ id: 'build', tool: 'node', args: ['x.js'] }]);
});

afterAll(async () => {
  await server.close(100);
  await index.close();
  await it[Symbol.asyncDispose]();
});

beforeEach(() => {
  from = it.log.size;
});

function ask(path: string, headers = {}): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request({ socketPath, path, headers }, resolve).on('error', reject).end();
  });
}

async function bytesOf(path: string): Promise<{ status: number; bytes: Buffer }> {
  const answer = await ask(path);
  const blocks = await Array.fromAsync(answer as AsyncIterable<Buffer>);
  return { status: answer.statusCode ?? 0, bytes: Buffer.concat(blocks) };
}

async function json(path: string): Promise<unknown> {
  const { status, bytes } = await bytesOf(path);
  expect(status).toBe(200);
  return JSON.parse(bytes.toString());
}

/** What was recorded since the test began, as `what` and count. */
async function reads(): Promise<[string, number][]> {
  const all: AnyRecord[] = (await it.records()).slice(from);
  return ofType(all, 'log.read').map(({ data }) => [data.what, data.records]);
}

test.each([
  ['/v1/audit/records?type=%27%20OR%201=1', 400],
  ['/v1/audit/records?since=yesterday', 400],
  ['/v1/audit/records?limit=501', 400],
  ['/v1/audit/records?sev=loud', 400],
  ['/v1/audit/records?run=@nobody', 404],
  ['/v1/audit/records/999999', 404],
  ['/v1/audit/follow?actor=', 400],
  ['/v1/audit/stats?since=2026-13-01', 400],
  ['/v1/runs/r-zzzzzzzzzz/extract', 404],
])('%s is refused, and no reading is recorded', async (path, status) => {
  expect((await bytesOf(path)).status).toBe(status);
  expect(await reads()).toEqual([]);
  expect(ofType((await it.records()).slice(from), 'log.extracted')).toEqual([]);
});

test('a list is what the filter says, by runs as they are named elsewhere, and is on record', async () => {
  const last = (await json('/v1/audit/records?run=@last&limit=500')) as AuditPage;
  expect(last.items.length).toBeGreaterThan(10);
  expect(new Set(last.items.map(({ record }) => record.run))).toEqual(new Set([second]));
  const part = (await json(`/v1/audit/records?run=${first.slice(0, 9)}&limit=500`)) as AuditPage;
  expect(new Set(part.items.map(({ record }) => record.run))).toEqual(new Set([first]));
  const path = '/v1/audit/records?type=container.*&order=newest&limit=3';
  const { items, next_cursor: next } = (await json(path)) as AuditPage;
  const seqs = items.map(({ record }) => record.seq);
  expect(seqs).toEqual(seqs.toSorted((a, b) => b - a));
  expect(items.every(({ record }) => record.type.startsWith('container.'))).toBe(true);
  expect(next).toBe(seqs.at(-1));
  expect(await reads()).toEqual([
    ['list', last.items.length],
    ['list', part.items.length],
    ['list', 3],
  ]);
});

test('read from the segments the answer is the same, and says that nothing is hidden', async () => {
  const path = '/v1/audit/records?type=task.*&limit=500';
  const shown = (await json(path)) as AuditPage;
  const read = (await json(`${path}&source=segments`)) as AuditPage;
  expect(read.items).toEqual(shown.items);
  expect(read.hidden).toEqual({ count: 0, first: [] });
  expect(read.scanned?.from).toBe(0);
});

test('a record comes with its line and the proof that the newest checkpoint covers it', async () => {
  await it.rooms.deps.trail.sign();
  const body = (await json('/v1/audit/records/3')) as AuditShown;
  const leaf = leafHash(Buffer.from(body.line ?? ''));
  expect(leaf.toString('hex')).toBe(body.hash);
  const checkpoint = parseSignedCheckpoint(body.proof?.checkpoint ?? '')!;
  const proof = parseProof(body.proof?.hashes ?? [])!;
  const { size, root } = checkpoint;
  expect(includes({ index: 3, size, leaf, root, proof })).toBe(true);
  expect(await reads()).toEqual([['show', 1]]);
});

test('what is followed is what the filter meets, goes on where it was cut, and is on record', async () => {
  const events = async (path: string, headers: object, wanted: number) => {
    const answer = await ask(path, headers);
    const records: LogRecord[] = [];
    let text = '';
    for await (const block of answer as AsyncIterable<Buffer>) {
      text += block.toString();
      records.length = 0;
      for (const [, line = ''] of text.matchAll(/^data: (\{.*\})\n\n/gm)) {
        records.push(JSON.parse(line) as LogRecord);
      }
      if (records.length >= wanted) break;
    }
    return records.slice(0, wanted);
  };
  const path = `/v1/audit/follow?from=0&run=${first}&type=task.*`;
  const found = await events(path, {}, 2);
  expect(found.map(({ type }) => type)).toEqual(['task.started', 'task.finished']);
  const on = await events(path, { 'last-event-id': String(found[0]?.seq) }, 1);
  expect(on.map(({ type }) => type)).toEqual(['task.finished']);
  expect((await reads()).map(([what]) => what)).toEqual(['follow', 'follow']);
});

test('numbers of the whole log add up, and asking for them is on record', async () => {
  const { size } = it.log;
  const body = (await json('/v1/audit/stats')) as AuditStats;
  // Whoever asks is named first.
  expect(body.records).toBeGreaterThanOrEqual(size);
  expect(body.size.index).toBe(body.size.log);
  expect(body.types.reduce((sum, { records }) => sum + records, 0)).toBe(body.records);
  expect(body.runs).toEqual({ submitted: 2, closed: 2, open: 0 });
  expect(await reads()).toEqual([['stats', 0]]);
});

test('a run comes as a bundle that holds by the key of the log, and is on record before', async () => {
  const { status, bytes } = await bytesOf('/v1/runs/@last/extract');
  expect(status).toBe(200);
  const file = join(it.stateDir, 'last.tar');
  await writeFile(file, bytes);
  const [key] = it.rooms.deps.trail.keys;
  const verdict = await verifyPath(file, { keys: [key?.vkey ?? ''] });
  expect(verdict).toMatchObject({ exit: 0, runs: 1, openRuns: 0 });
  const [record] = ofType((await it.records()).slice(from), 'log.extracted');
  expect(record).toMatchObject({
    obj: { run: second },
    data: { complete: true, records: verdict.records },
  });
});
