import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import type { AnyRecord } from '#contract/records.ts';
import { openIndex } from '#daemon/audit/index-db.ts';
import { ofType, Orchestra } from '#test/support/orchestra.ts';
import { verifyOwn } from '#test/support/verify-own.ts';
import { all, noise, testLog } from './fixture.ts';

const isRoot = process.getuid?.() === 0;
const disks: string[] = [];
const dirs: string[] = [];

afterEach(() => {
  for (const disk of disks.splice(0)) execFileSync('umount', ['--lazy', disk]);
  for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true, force: true });
});

function newDir(): string {
  const dir = mkdtempSync(join(tmpdir(), 'orchestra-disk-'));
  dirs.push(dir);
  return dir;
}

/** A small disk of its own. */
function mountAt(path: string, size: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=700`, 'tmpfs', path]);
  disks.push(path);
}

function grow(path: string, size: string): void {
  execFileSync('mount', ['-o', `remount,size=${size}`, path]);
}

const chain = (count: number) =>
  Array.from({ length: count }, (_, n) => ({
    id: `t${n}`,
    tool: 'sh',
    args: ['-c', `exit 0 # ${n}`],
    ...(n === 0 ? {} : { deps: [`t${n - 1}`] }),
  }));

/** Tasks that began again after their success was on record. */
function begunAgain(records: readonly AnyRecord[]): string[] {
  const done = new Set<string>();
  const again: string[] = [];
  for (const { type, obj, outcome } of records) {
    const task = obj?.['task'] ?? '';
    if (type === 'task.finished' && outcome === 'ok') done.add(task);
    if (type === 'task.started' && done.has(task)) again.push(task);
  }
  return again;
}

test.skipIf(!isRoot)(
  'a run whose log has no more room goes on with the next daemon where the log ends, and nothing runs twice',
  async () => {
    const stateDir = newDir();
    const disk = join(stateDir, 'audit');
    mountAt(disk, '448k');
    const first = await Orchestra.open({ stateDir });
    const run = await first.submit(chain(60));
    await first.ended(run);
    expect(first.log.blocked).toMatchObject({ code: 'audit.unavailable' });
    await first.stop();
    const done = ofType(wholeLog(first), 'task.finished').length;
    expect(done).toBeGreaterThan(3);
    expect(done).toBeLessThan(60);
    grow(disk, '32m');
    await using second = await Orchestra.open({ stateDir, engine: first.fake });
    await second.ended(run);
    expect(second.rooms.deps.states.find(run)?.state).toBe('succeeded');
    const records = await second.records(run);
    expect(begunAgain(records)).toEqual([]);
    expect(ofType(records, 'task.finished').filter(({ outcome }) => outcome === 'ok')).toHaveLength(
      60,
    );
    expect(second.fake.left).toEqual([]);
    await second.stop();
    expect((await verifyOwn(disk)).exit).toBe(0);
  },
);

/** What is on disk of a log that was closed. */
function wholeLog(it: Orchestra): AnyRecord[] {
  const folder = join(it.rooms.auditDir, 'segments');
  return readdirSync(folder)
    .toSorted()
    .flatMap((name) => readFileSync(join(folder, name), 'utf8').split('\n').slice(0, -1))
    .map((line) => JSON.parse(line) as AnyRecord);
}

test.skipIf(!isRoot)(
  'an index without room holds up no run, answers with an error, and catches up once it has room',
  async () => {
    const disk = newDir();
    mountAt(disk, '96k');
    await using it = await Orchestra.open();
    const file = join(disk, 'index.sqlite');
    const index = await openIndex({ dir: it.rooms.auditDir, log: it.log, file });
    const run = await it.run(chain(60));
    expect(it.rooms.deps.states.find(run)?.state).toBe('succeeded');
    await expect(index.query({ run })).rejects.toMatchObject({
      code: 'audit.unavailable',
      hint: expect.stringContaining('disk full') as string,
    });
    const again = await it.run(chain(2));
    expect(it.rooms.deps.states.find(again)?.state).toBe('succeeded');
    grow(disk, '32m');
    await expect
      .poll(async () => (await index.query({ run, type: 'run.closed' })).lines.length)
      .toBe(1);
    const { lines } = await index.query({ run: again, limit: 1_000 });
    expect(lines.map(({ record }) => record)).toEqual(
      (await it.records()).filter((record) => record.run === again),
    );
    await index.close();
  },
);

test.skipIf(!isRoot)(
  'a log without room loses nothing that was acknowledged, and takes nothing more until it is opened again',
  async () => {
    const disk = newDir();
    mountAt(disk, '256k');
    const dir = join(disk, 'audit');
    const acknowledged: number[] = [];
    await using it = await testLog({ dir, lowWaterBytes: 0 });
    const fill = async () => {
      for (;;) acknowledged.push((await it.log.append(noise('x'.repeat(400)))).seq);
    };
    await expect(fill()).rejects.toMatchObject({ code: 'audit.unavailable' });
    await expect(it.log.append(noise('more'))).rejects.toMatchObject({ code: 'audit.unavailable' });
    await it.log.close();
    expect(acknowledged.length).toBeGreaterThan(100);
    grow(disk, '8m');
    await using next = await testLog({ dir, lowWaterBytes: 0 });
    const seqs = new Set((await all(next.log.read())).map(({ record }) => record.seq));
    expect(acknowledged.filter((seq) => !seqs.has(seq))).toEqual([]);
    await next.log.append(noise('goes on'));
    await next.log.close();
    expect((await verifyOwn(dir)).exit).toBe(0);
  },
);
