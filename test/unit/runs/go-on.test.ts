import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import type { ContinueRun, RunCheckpoint } from '#contract/run.ts';
import { loadPlan } from '#daemon/runs/accept.ts';
import { ofType, Orchestra, user, type PlanFileTask } from '#test/support/orchestra.ts';

const build: PlanFileTask = { id: 'build', tool: 'node', args: ['build.js'] };
const check: PlanFileTask = { id: 'check', tool: 'node', args: ['check.js'], deps: ['build'] };
const pack: PlanFileTask = { id: 'pack', tool: 'node', args: ['pack.js'], deps: ['check'] };
const deploy: PlanFileTask = { id: 'deploy', tool: 'node', args: ['x'], side_effects: true };

const request = (given: Partial<ContinueRun> = {}): ContinueRun => ({
  mode: 'resume',
  again: false,
  dryRun: false,
  ...given,
});

const dirs: string[] = [];
afterEach(() => {
  for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true, force: true });
});

/** What is on the disk of a daemon that is killed now. */
function killed(it: Orchestra): string {
  const stateDir = mkdtempSync(join(tmpdir(), 'orchestra-killed-'));
  dirs.push(stateDir);
  cpSync(it.stateDir, stateDir, { recursive: true, verbatimSymlinks: true });
  return stateDir;
}

const states = (it: Orchestra, run: string) =>
  Object.fromEntries(
    [...(it.rooms.deps.states.find(run)?.tasks ?? [])].map(([id, t]) => [id, t.state]),
  );

describe('a run that ended', () => {
  test('stays as it is, whatever goes on from it', async () => {
    await using it = await Orchestra.open({ programs: new Map([['check', { exitCode: 1 }]]) });
    const first = await it.run([build, check, pack]);
    const before = await it.rooms.runs.view(first);
    it.programs.delete('check');
    const { id, kept, rerun } = await it.rooms.runs.goOn(first, request(), user);
    await it.ended(id ?? '');
    expect({ kept, rerun }).toEqual({ kept: ['build'], rerun: ['check', 'pack'] });
    expect(states(it, id ?? '')).toEqual({
      build: 'cached',
      check: 'succeeded',
      pack: 'succeeded',
    });
    expect(await it.rooms.runs.view(first)).toEqual({ ...before, continuedBy: id });
    const [, cached] = [id, it.rooms.deps.states.find(id ?? '')?.tasks.get('build')];
    expect(cached?.from).toEqual({ run: first, task: 'build', why: 'resumed' });
  });

  test('is gone on from only where it did not succeed', async () => {
    await using it = await Orchestra.open();
    const first = await it.run([build]);
    const answer = await it.rooms.runs.goOn(first, request(), user);
    expect(answer).toMatchObject({ id: first, nothing: `${first} succeeded` });
  });

  test('names what would run twice, and runs it only when told so', async () => {
    await using it = await Orchestra.open({ programs: new Map([['deploy', { exitCode: 1 }]]) });
    const first = await it.run([deploy]);
    const dry = await it.rooms.runs.goOn(first, request({ dryRun: true }), user);
    expect(dry).toEqual({ kept: [], rerun: ['deploy'], twice: ['deploy'] });
    await expect(it.rooms.runs.goOn(first, request(), user)).rejects.toMatchObject({
      code: 'approval.missing',
      hint: expect.stringContaining('--again') as string,
    });
    it.programs.delete('deploy');
    const { id } = await it.rooms.runs.goOn(first, request({ again: true }), user);
    await it.ended(id ?? '');
    expect(states(it, id ?? '')).toEqual({ deploy: 'succeeded' });
  });

  test('runs what it kept again where it is gone', async () => {
    await using it = await Orchestra.open({ programs: new Map([['check', { exitCode: 1 }]]) });
    const first = await it.run([build, check]);
    rmSync(join(it.stateDir, 'layers'), { recursive: true });
    it.programs.delete('check');
    const { id } = await it.rooms.runs.goOn(first, request(), user);
    await it.ended(id ?? '');
    expect(states(it, id ?? '')['build']).not.toBe('cached');
  });

  test('is forked from a task on, and every task behind it runs', async () => {
    await using it = await Orchestra.open();
    const first = await it.run([build, check, pack]);
    const answer = await it.rooms.runs.goOn(first, request({ mode: 'fork', task: 'check' }), user);
    expect(answer).toMatchObject({ kept: ['build'], rerun: ['check', 'pack'] });
    await it.ended(answer.id ?? '');
    expect(states(it, answer.id ?? '')).toMatchObject({ check: 'succeeded', pack: 'succeeded' });
    await expect(
      it.rooms.runs.goOn(first, request({ mode: 'fork', task: 'nope' }), user),
    ).rejects.toMatchObject({ code: 'task.unknown' });
  });

  test('is refused where the policy of today denies its plan', async () => {
    await using first = await Orchestra.open({ programs: new Map([['build', { exitCode: 1 }]]) });
    const run = await first.run([build]);
    const stateDir = killed(first);
    await using second = await Orchestra.open({
      stateDir,
      config: { ceiling: 'nothing' },
      policiesDir: nothingAllowed(),
    });
    const { id } = await second.rooms.runs.goOn(run, request(), user);
    await second.ended(id ?? '');
    const records = await second.records(id);
    expect(ofType(records, 'policy.decided').map(({ data }) => data.decision)).toEqual(['deny']);
    expect(second.rooms.deps.states.find(id ?? '')?.state).toBe('violated');
  });
});

describe('a daemon that starts after one that was killed', () => {
  test('goes on with open runs, and runs no task twice that succeeded', async () => {
    const programs = new Map([['check', { hang: true }]]);
    await using first = await Orchestra.open({ programs });
    const run = await first.submit([build, check, pack]);
    await expect.poll(() => states(first, run)['check']).toBe('running');
    await using second = await Orchestra.open({ stateDir: killed(first) });
    await second.ended(run);
    const view = await second.rooms.runs.view(run);
    expect(view.state).toBe('succeeded');
    const task = view.tasks.find(({ id }) => id === 'check');
    expect(task).toMatchObject({ attempt: 2, attempts: [{ attempt: 1, outcome: 'lost' }] });
    const begun = ofType(await second.records(run), 'task.started').map(({ obj }) => obj?.['task']);
    expect(begun).toEqual(['build', 'check', 'check', 'pack']);
    expect(ofType(await second.records(run), 'run.recovered').map(({ data }) => data)).toEqual([
      { done: 1, adopted: 0, lost: 1 },
    ]);
  });

  test('asks nobody, so a task with side effects does not run twice', async () => {
    await using first = await Orchestra.open({ programs: new Map([['deploy', { hang: true }]]) });
    const run = await first.submit([deploy]);
    const began = () => first.rooms.deps.states.find(run)?.tasks.get('deploy')?.mayHaveBegun;
    await expect.poll(began).toBe(true);
    await using second = await Orchestra.open({ stateDir: killed(first) });
    await second.ended(run);
    const view = await second.rooms.runs.view(run);
    expect(view.tasks[0]).toMatchObject({ state: 'unknown', attempt: 1 });
    expect(view.tasks[0]?.reason).toContain('--again');
  });

  test('ends a run whose cancel was on record', async () => {
    await using first = await Orchestra.open({ programs: new Map([['build', { hang: true }]]) });
    const run = await first.submit([build, check]);
    await expect.poll(() => states(first, run)['build']).toBe('running');
    await first.log.append({ type: 'run.cancel.requested', run, data: { reason: 'enough' } });
    await using second = await Orchestra.open({ stateDir: killed(first) });
    await second.ended(run);
    expect(second.rooms.deps.states.find(run)).toMatchObject({
      state: 'cancelled',
      reason: 'enough',
    });
    expect(second.fake.calls).not.toContain('create');
  });

  test('keeps a paused run paused until somebody lifts it', async () => {
    await using first = await Orchestra.open({ programs: new Map([['build', { hang: true }]]) });
    const run = await first.submit([build]);
    await expect.poll(() => states(first, run)['build']).toBe('running');
    await first.rooms.runs.pause(run, { kind: 'drain', reason: 'night' }, user);
    await using second = await Orchestra.open({ stateDir: killed(first) });
    await expect
      .poll(async () => ofType(await second.records(run), 'run.recovered').length)
      .toBe(1);
    expect((await second.rooms.runs.view(run)).paused).toMatchObject({ kind: 'drain', by: 'ada' });
    expect(second.fake.calls).not.toContain('create');
    await second.rooms.runs.goOn(run, request(), user);
    await second.ended(run);
    expect((await second.rooms.runs.view(run)).state).toBe('succeeded');
  });

  test('goes on with what a daemon left that was stopped in peace', async () => {
    const programs = new Map([['check', { hang: true }]]);
    const first = await Orchestra.open({ programs });
    const run = await first.submit([build, check, pack]);
    await expect.poll(() => states(first, run)['check']).toBe('running');
    await first.rooms.endRuns('SIGTERM', { leave: true });
    const stateDir = killed(first);
    expect(first.rooms.deps.states.find(run)).toMatchObject({ state: 'running' });
    expect(states(first, run)).toEqual({ build: 'succeeded', check: 'waiting' });
    await using second = await Orchestra.open({ stateDir });
    await second.ended(run);
    const view = await second.rooms.runs.view(run);
    expect(view).toMatchObject({ state: 'succeeded' });
    expect(view.tasks.find(({ id }) => id === 'check')).toMatchObject({
      attempt: 2,
      attempts: [{ outcome: 'cancelled', reason: 'the daemon was stopped' }],
    });
    await first[Symbol.asyncDispose]();
  });

  test('closes what was not accepted yet', async () => {
    await using first = await Orchestra.open({ programs: new Map([['build', { hang: true }]]) });
    const run = await first.submit([build]);
    await expect.poll(() => states(first, run)['build']).toBe('running');
    const { data } = ofType(await first.records(run), 'run.submitted')[0] ?? {};
    if (data === undefined) throw new Error('no submission');
    await first.log.append({ type: 'run.submitted', run: 'r-0000000000', data });
    await using second = await Orchestra.open({ stateDir: killed(first) });
    await second.ended(run);
    expect(second.rooms.deps.states.find('r-0000000000')?.reason).toContain('submit it again');
  });
});

describe('a checkpoint', () => {
  const newest = async (it: Orchestra, run: string) => {
    const digest = it.rooms.deps.states.find(run)?.checkpoint ?? '';
    const bytes = await it.rooms.deps.blobs.read(digest, { maxBytes: 1 << 20 });
    return JSON.parse(bytes.toString('utf8')) as RunCheckpoint;
  };
  const from = (checkpoint: RunCheckpoint) => ({ checkpoint, dryRun: false, again: false });

  test('lets another daemon go on that has the blobs and trusts the key', async () => {
    await using first = await Orchestra.open({ programs: new Map([['check', { exitCode: 1 }]]) });
    const run = await first.run([build, check]);
    const checkpoint = await newest(first, run);
    const stateDir = killed(first);
    rmSync(join(stateDir, 'audit'), { recursive: true });
    rmSync(join(stateDir, 'keys'), { recursive: true });
    rmSync(join(stateDir, 'signer'), { recursive: true });
    await using stranger = await Orchestra.open({ stateDir });
    await expect(stranger.rooms.runs.importRun(from(checkpoint), user)).rejects.toMatchObject({
      code: 'access.denied',
    });
    await stranger.stop();
    await using second = await Orchestra.open({
      stateDir,
      config: { trustedKeys: [checkpoint.signature.key] },
    });
    const { id } = await second.rooms.runs.importRun(from(checkpoint), user);
    await second.ended(id ?? '');
    expect(states(second, id ?? '')).toEqual({ build: 'cached', check: 'succeeded' });
  });

  test.each([
    ['edited', (c: RunCheckpoint) => ({ ...c, layers: {} })],
    [
      'truncated',
      (c: RunCheckpoint) =>
        Object.fromEntries(Object.entries(c).filter(([key]) => key !== 'results')),
    ],
    ['of the future', (c: RunCheckpoint) => ({ ...c, version: 2 })],
    [
      'signed by nobody',
      (c: RunCheckpoint) => ({ ...c, signature: { ...c.signature, sig: 'AAAA' } }),
    ],
  ])('that is %s is refused', async (_, change) => {
    await using it = await Orchestra.open({ programs: new Map([['check', { exitCode: 1 }]]) });
    const run = await it.run([build, check]);
    const changed = change(await newest(it, run)) as RunCheckpoint;
    const before = it.log.size;
    await expect(it.rooms.runs.importRun(from(changed), user)).rejects.toMatchObject({
      code: 'checkpoint.invalid',
    });
    expect(it.log.size).toBe(before);
    expect((await loadPlan(it.rooms.deps, (await newest(it, run)).plan)).tasks).toHaveLength(2);
  });
});

/** A folder of policies whose ceiling lets no tool run. */
function nothingAllowed(): string {
  const dir = mkdtempSync(join(tmpdir(), 'orchestra-nothing-'));
  dirs.push(dir);
  cpSync(new URL('../../../policies', import.meta.url).pathname, dir, { recursive: true });
  const text = readFileSync(join(dir, 'default.yaml'), 'utf8');
  const narrowed = text
    .replace(/^name: .*$/m, 'name: nothing')
    .replace(/^tools:(?:.*\n)(?: +.*\n)*/m, 'tools: [sh]\n');
  writeFileSync(join(dir, 'nothing.yaml'), narrowed);
  return dir;
}
