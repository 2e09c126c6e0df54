import { expect, test } from 'vitest';
import type { QuotasSection } from '#contract/access.ts';
import type { Actor, AnyRecord } from '#contract/records.ts';
import { openAccounts } from '#daemon/access/accounts.ts';
import { Quotas } from '#daemon/access/quotas.ts';
import type { RefusalEntry } from '#daemon/access/refusals.ts';
import { Usage } from '#daemon/access/usage.ts';
import { Orchestra, ofType } from '#test/support/orchestra.ts';

const ada: Actor = { kind: 'user', auth: 'peer', uid: 1000, gid: 100, roles: ['runner'] };
const bob: Actor = { ...ada, uid: 1001 };
const snapshot = `sha256:${'a'.repeat(64)}`;
const noon = Date.parse('2026-05-01T12:00:00.000Z');

class Told {
  readonly usage = new Usage();
  readonly refused: RefusalEntry[] = [];
  #seq = 0;
  now = noon;

  say(type: string, data: object, more: object = {}): void {
    const ts = new Date(this.now).toISOString();
    const record = { seq: this.#seq++, ts, type, outcome: 'ok', actor: ada, data, ...more };
    this.usage.fold(record as unknown as AnyRecord);
  }

  submit(run: string, actor = ada, bytes = 1000): void {
    this.say('run.submitted', { snapshot, workspace_bytes: bytes }, { run, actor });
  }

  quotas(settings: QuotasSection): Promise<Quotas> {
    return Quotas.open({
      settings,
      accounts: openAccounts(undefined, () => 0),
      usage: this.usage,
      now: () => this.now,
      refusals: {
        record: (_caller, entry) => {
          this.refused.push(entry);
          return Promise.resolve();
        },
      },
    });
  }
}

test('the run after the last one of the day is refused, recorded, and told when there is more', async () => {
  const told = new Told();
  const quotas = await told.quotas({ default: { runs_per_day: 2 } });
  told.submit('r-1');
  told.submit('r-2');
  await expect(quotas.admitRun(ada)).rejects.toMatchObject({
    code: 'quota.exceeded',
    hint: expect.stringContaining('midnight UTC, in 12h') as string,
  });
  expect(told.refused).toMatchObject([
    { type: 'quota.refused', data: { quota: 'runs_per_day', of: 'uid:1000', used: 2, allowed: 2 } },
  ]);
  await expect(quotas.admitRun(bob)).resolves.toBeDefined();
  told.now += 13 * 3600_000;
  await expect(quotas.admitRun(ada)).resolves.toBeDefined();
});

test('runs that come at once are counted before they are on record', async () => {
  const told = new Told();
  const quotas = await told.quotas({ default: { open_runs: 2 } });
  const all = await Promise.allSettled([1, 2, 3, 4].map(async () => quotas.admitRun(ada)));
  expect(all.filter(({ status }) => status === 'fulfilled')).toHaveLength(2);
  for (const each of all) if (each.status === 'fulfilled') each.value[Symbol.dispose]();
  await expect(quotas.admitRun(ada)).resolves.toBeDefined();
});

test('a run that ended or was pruned is not held against anybody, and equal workspaces count once', async () => {
  const told = new Told();
  const quotas = await told.quotas({ default: { open_runs: 1, disk: 2500 } });
  told.submit('r-1');
  await expect(quotas.admitRun(ada)).rejects.toMatchObject({ code: 'quota.exceeded' });
  const end = { cpu_ms: 5, disk_bytes: 1000, output_bytes: 100 };
  told.say('task.finished', end, { run: 'r-1' });
  told.say('run.closed', {}, { run: 'r-1' });
  told.submit('r-2');
  told.say('task.finished', end, { run: 'r-2', outcome: 'failed' });
  told.say('run.closed', {}, { run: 'r-2' });
  expect(told.usage.of('uid:1000').diskBytes).toBe(1000 + 1100 + 100);
  told.say('task.finished', { ...end, disk_bytes: 300 }, { run: 'r-2' });
  await expect(quotas.admitRun(ada)).rejects.toThrow('on the disk');
  told.say('run.pruned', {}, { obj: { run: 'r-1' } });
  expect(told.usage.of('uid:1000').diskBytes).toBe(1000 + 500);
  told.say('run.pruned', {}, { obj: { run: 'r-2' } });
  expect(told.usage.of('uid:1000').diskBytes).toBe(0);
});

test('processor time that is used up stops tasks, and what runs counts when it ends', async () => {
  const told = new Told();
  const quotas = await told.quotas({ roles: { runner: { cpu_minutes_per_day: 1 } } });
  told.submit('r-1');
  await expect(quotas.assertTask(ada)).resolves.toBeUndefined();
  const end = { cpu_ms: 59_999, output_bytes: 0 };
  told.say('attempt.ended', end, { run: 'r-1' });
  await expect(quotas.assertTask(ada)).resolves.toBeUndefined();
  told.say('task.finished', { ...end, cpu_ms: 1 }, { run: 'r-1' });
  await expect(quotas.assertTask(ada)).rejects.toMatchObject({ code: 'quota.exceeded' });
});

test('a line about somebody comes before those about his roles, those before the default', async () => {
  const told = new Told();
  const quotas = await told.quotas({
    default: { runs_per_day: 1, open_runs: 9, tasks_per_day: 5 },
    roles: { runner: { runs_per_day: 2 }, viewer: { runs_per_day: 3 } },
    users: { 'uid:1001': { runs_per_day: 0 }, 'gid:100': { open_runs: 4 } },
  });
  const of = (actor: Actor) =>
    Object.fromEntries(quotas.view(actor).map(({ quota, allowed }) => [quota, allowed]));
  expect(of(ada)).toMatchObject({ runs_per_day: 2, open_runs: 4, tasks_per_day: 5 });
  expect(of({ ...ada, roles: ['runner', 'viewer'] })).toMatchObject({ runs_per_day: 3 });
  expect(of(bob)).toMatchObject({ runs_per_day: 0, open_runs: 9 });
  expect(of({ ...ada, gid: 7, roles: ['admin'] })['runs_per_day']).toBeUndefined();
});

test('what a pruned log still has says the same as what the daemon counted', () => {
  const told = new Told();
  told.submit('r-1');
  told.submit('r-2', bob);
  told.say('log.pruned', { to_seq: 1 });
  expect(told.usage.all().map(({ owner }) => owner)).toContain('uid:1001');
  expect(told.usage.of('uid:1000')).toMatchObject({ openRuns: 0, diskBytes: 0 });
  // What is carried along is older than the day that is counted.
  told.usage.fold({ seq: 0, ts: '2020-01-01T00:00:00.000Z', type: 'log.hold.set' } as AnyRecord);
  expect(told.usage.day).toBe('2026-05-01');
});

test('a run whose tasks are used up ends denied, with exit code 6 and the way on', async () => {
  const quotas = { users: { 'uid:1000': { tasks_per_day: 1 } } };
  await using it = await Orchestra.open({ config: { quotas } });
  const id = await it.run([
    { id: 'one', tool: 'node', args: ['1.js'] },
    { id: 'two', tool: 'node', args: ['2.js'], deps: ['one'] },
  ]);
  const view = await it.rooms.runs.view(id);
  expect(view.exitCode).toBe(6);
  expect(view.tasks.map(({ state }) => state)).toEqual(['succeeded', 'failed']);
  expect(view.tasks[1]).toMatchObject({ failure: { class: 'denied', rule: 'quota-exceeded' } });
  const records = await it.records();
  expect(ofType(records, 'quota.refused')).toMatchObject([
    { data: { quota: 'tasks_per_day', used: 1, allowed: 1 }, actor: { uid: 1000 } },
  ]);
});
