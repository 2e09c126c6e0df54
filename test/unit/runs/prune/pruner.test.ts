import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { RunId } from '#contract/ids.ts';
import type { PruneStore } from '#contract/prune.ts';
import type { SandboxSpec } from '#daemon/policy/spec.ts';
import { allRoutes } from '#daemon/http/routes/index.ts';
import type { RouteDeps } from '#daemon/http/routes/deps.ts';
import { FreeSpace } from '#daemon/workspace/free-space.ts';
import { PrunedRuns } from '#daemon/runs/prune/pruned-runs.ts';
import { Pruner, type PruneSettings } from '#daemon/runs/prune/pruner.ts';
import { runReport } from '#daemon/runs/run-report.ts';
import { explainTask } from '#daemon/runs/explain.ts';
import { verifyLog } from '#verifier/verify.ts';
import { ofType, Orchestra, user, type PlanFileTask } from '#test/support/orchestra.ts';

const build: PlanFileTask = {
  id: 'build',
  tool: 'node',
  args: ['build.js'],
  outputs: [{ name: 'out', path: 'out' }],
};
const dayMs = 86_400_000;

/** A run that did all it should, so that there is something to prune. */
async function ran(it: Orchestra, files?: Record<string, string>): Promise<RunId> {
  const id = await it.run([build], files === undefined ? {} : { files });
  expect(it.rooms.deps.states.find(id)?.state).toBe('succeeded');
  return id;
}

/** Tasks that leave a file of their own in a folder of outputs. */
async function opened(options: Parameters<typeof Orchestra.open>[0] = {}): Promise<Orchestra> {
  let made = 0;
  const effect = (spec: SandboxSpec): void => {
    const mount = spec.mounts.find((each) => each.kind === 'overlay');
    if (mount?.kind !== 'overlay') return;
    mkdirSync(join(mount.upper, 'out'), { recursive: true });
    writeFileSync(join(mount.upper, 'out/file'), `made ${(made += 1)}`);
  };
  const programs = new Map([['build', { effect, output: [[1, 'hello\n']] as const }]]);
  return Orchestra.open({ programs, ...options });
}

/** The daemon's own, so many days later. */
function prunerIn(it: Orchestra, days: number, settings: Partial<PruneSettings> = {}): Pruner {
  const { log, states, pruned, workspace, clock, logger, provenance } = it.rooms.deps;
  const later = {
    ...clock,
    now: () => clock.now() + days * dayMs,
    mono: () => clock.mono(),
    boot: '',
  };
  const all = { keepDays: 14, keepRuns: 50, ...settings };
  return new Pruner({
    log,
    states,
    pruned,
    store: workspace.store,
    clock: later,
    logger,
    settings: all,
    alsoOf: (run) => provenance.attested.bundleOf(run),
  });
}

const asked = (request: Partial<PruneStore> = {}): PruneStore => ({ dryRun: false, ...request });
const idsOf = ({ runs }: { runs: readonly { id: RunId }[] }) => runs.map(({ id }) => id);
const prunes = async (it: Orchestra) => ofType(await it.records(), 'store.prune');

describe('what is kept', () => {
  test('by the settings: what was used within the days, and the last runs whatever their age', async () => {
    await using it = await opened();
    const [first, second] = [await ran(it), await ran(it)];
    expect((await prunerIn(it, 13).prune(asked())).dropped).toBe(0);
    expect((await prunerIn(it, 15).prune(asked())).dropped).toBe(0);
    const answer = await prunerIn(it, 15, { keepRuns: 1 }).prune(asked());
    expect(idsOf(answer)).toEqual([first]);
    const { plan } = it.rooms.deps.states.find(second) ?? {};
    expect(plan && (await it.rooms.deps.blobs.verify(plan))).toBe(true);
  });

  test('an open run, and the one that it goes on from', async () => {
    await using it = await opened();
    it.programs.set('later', { exitCode: 1 });
    const later: PlanFileTask = { id: 'later', tool: 'node', args: ['x'], deps: ['build'] };
    const first = await it.run([build, later]);
    it.programs.set('later', { hang: true });
    const again = { mode: 'resume', again: false, dryRun: false } as const;
    const { id = '' } = await it.rooms.runs.goOn(first, again, user);
    await expect
      .poll(() => it.rooms.deps.states.find(id)?.tasks.get('later')?.state)
      .toBe('running');
    const answer = await prunerIn(it, 30).prune(asked({ keepRuns: 0 }));
    expect(answer).toMatchObject({ kept: 2, dropped: 0 });
    await it.rooms.runs.cancel(id, 'enough', user);
    await it.ended(id);
    expect(it.rooms.deps.states.find(id)?.tasks.get('build')?.state).toBe('cached');
  });

  test('a run whose artifact somebody took lately', async () => {
    await using it = await opened();
    const first = await ran(it);
    const second = await ran(it);
    const { log } = it.rooms.deps;
    await log.append({
      type: 'artifact.downloaded',
      obj: { run: first, task: 'build' },
      data: { name: 'out', sha256: '0'.repeat(64) },
    });
    await ran(it);
    // Only the last is asked for; what its records tell of the use of others counts as well.
    const answer = await prunerIn(it, 1).prune(asked({ keepDays: 2, keepRuns: 0 }));
    expect(idsOf(answer)).not.toContain(first);
    expect(second).not.toBe(first);
  });

  test('as many of those used last as the budget has room for', async () => {
    await using it = await opened();
    const big = { 'package.json': '{}', big: 'x'.repeat(300_000) };
    const first = await ran(it, { ...big, a: '1' });
    const second = await it.run([build], {
      files: { 'package.json': '{}', other: 'y'.repeat(300_000) },
    });
    const budget = { bytes: 450_000 };
    const pruner = prunerIn(it, 1, { budget });
    const answer = await pruner.prune(asked());
    expect(answer.runs).toEqual([{ id: first, why: 'budget' }]);
    expect(answer.bytes).toBeGreaterThan(300_000);
    expect(
      await it.rooms.deps.workspace.snapshots.find(
        it.rooms.deps.states.find(second)?.snapshot ?? 'sha256:',
      ),
    ).toBeDefined();
  });

  test('nothing looks older because a clock was set forward while the daemon ran', async () => {
    await using it = await opened();
    await ran(it);
    const { log, states, pruned, workspace, clock, logger } = it.rooms.deps;
    let ahead = 0;
    const jumping = { now: () => clock.now() + ahead, mono: () => clock.mono(), boot: '' };
    const settings = { keepDays: 1, keepRuns: 0 };
    const pruner = new Pruner({
      log,
      states,
      pruned,
      store: workspace.store,
      clock: jumping,
      logger,
      settings,
    });
    ahead = 30 * dayMs;
    expect(await pruner.prune(asked())).toMatchObject({ kept: 1, dropped: 0, removed: [] });
    ahead = -30 * dayMs;
    expect(await pruner.prune(asked())).toMatchObject({ kept: 1, dropped: 0, removed: [] });
  });
});

describe('where the disk is low', () => {
  test('what the settings no longer keep goes before anybody is refused, and once a minute at most', async () => {
    await using it = await opened();
    const first = await ran(it);
    const pruner = prunerIn(it, 30, { keepRuns: 0 });
    const read = { free: 1, total: 1_000_000_000, filesFree: 0, filesTotal: 0 };
    const low = new FreeSpace(it.stateDir, undefined, () => Promise.resolve(read));
    low.reclaim = () => pruner.makeRoom();
    await Promise.all(
      [1, 2].map(() => expect(low.assert('x')).rejects.toMatchObject({ code: 'disk.low' })),
    );
    await expect(low.assert('x')).rejects.toMatchObject({ code: 'disk.low' });
    const all = await it.records();
    expect(ofType(all, 'run.pruned').map(({ obj }) => obj?.['run'])).toEqual([first]);
    expect(ofType(all, 'store.prune')).toHaveLength(2);
    expect(readdirSync(join(it.stateDir, 'tmp'))).toEqual([]);
  });

  test('a prune that fails keeps nobody from work for which there is room', async () => {
    await using it = await opened();
    await ran(it);
    it.gate = (entry) => {
      if (entry.type === 'store.prune') throw new Error('no');
      return true;
    };
    await prunerIn(it, 30, { keepRuns: 0 }).makeRoom();
    expect(await prunes(it)).toEqual([]);
  });
});

describe('on record', () => {
  test('each run that is dropped is, before anything of it goes, and what went afterwards', async () => {
    await using it = await opened();
    const first = await ran(it);
    const told: string[] = [];
    const pruner = prunerIn(it, 1);
    pruner.onPruned((runs) => {
      told.push(...runs, `blobs ${readdirSync(join(it.stateDir, 'blobs')).length > 1}`);
      expect(it.rooms.deps.pruned.find(first)).toMatchObject({ why: 'rule', by: 'ada' });
    });
    const answer = await pruner.prune(asked({ keepRuns: 0 }), user);
    expect(told).toEqual([first, 'blobs true']);
    const all = await it.records();
    const [intent, result] = ofType(all, 'store.prune');
    const [run] = ofType(all, 'run.pruned');
    expect([intent?.stage, result?.stage, intent?.actor.name]).toEqual(['intent', 'result', 'ada']);
    expect(intent?.data.parts).toEqual(result?.data.parts);
    expect(result?.data.parts).toEqual(answer.removed);
    expect(run).toMatchObject({ obj: { run: first }, data: { why: 'rule' } });
    expect((intent?.seq ?? 0) < (run?.seq ?? 0) && (run?.seq ?? 0) < (result?.seq ?? 0)).toBe(true);
    await it.stop();
    expect((await verifyLog(it.rooms.auditDir)).exit).not.toBe(1);
  });

  test('nothing goes without it', async () => {
    await using it = await opened();
    await ran(it);
    const before = readdirSync(join(it.stateDir, 'blobs'), { recursive: true }).length;
    it.gate = (entry) => {
      if (entry.type === 'run.pruned') throw new Error('no');
      return true;
    };
    await expect(prunerIn(it, 1).prune(asked({ keepRuns: 0 }))).rejects.toThrow('no');
    expect(readdirSync(join(it.stateDir, 'blobs'), { recursive: true })).toHaveLength(before);
    expect((await prunes(it)).at(-1)).toMatchObject({ outcome: 'failed', data: { parts: [] } });
  });

  test('nothing is, where there is nothing to do or nothing was to be done', async () => {
    await using it = await opened();
    await ran(it);
    const pruner = prunerIn(it, 1);
    expect(await pruner.prune(asked())).toMatchObject({ dropped: 0, bytes: 0 });
    const dry = await pruner.prune(asked({ dryRun: true, keepRuns: 0 }));
    expect(dry.dropped).toBe(1);
    expect(dry.bytes).toBeGreaterThan(0);
    expect(await prunes(it)).toEqual([]);
    expect(await pruner.prune(asked({ keepRuns: 0 }))).toEqual({ ...dry, dryRun: false });
  });

  test('a store in which nothing happens is not looked through for ever', async () => {
    await using it = await opened();
    await ran(it);
    const pruner = prunerIn(it, 1);
    const { signal } = new AbortController();
    expect(await pruner.tidy(signal)).toMatchObject({ kept: 1 });
    expect(await pruner.tidy(signal)).toMatchObject({ kept: 1 });
    expect(await pruner.tidy(signal)).toBeUndefined();
    await ran(it);
    expect(await pruner.tidy(signal)).toMatchObject({ kept: 2 });
  });

  test('a run is dropped once, and what is known of it is there after a restart', async () => {
    await using it = await opened();
    const first = await ran(it);
    await prunerIn(it, 1).prune(asked({ keepRuns: 0 }));
    await prunerIn(it, 2).prune(asked({ keepRuns: 0 }));
    const all = await it.records();
    expect(ofType(all, 'run.pruned')).toHaveLength(1);
    const again = new PrunedRuns();
    for (const record of all) again.fold(record);
    expect(again.find(first)).toEqual(it.rooms.deps.pruned.find(first));
  });
});

describe('a run that was pruned', () => {
  async function pruned() {
    const it = await opened();
    const run = await ran(it);
    await prunerIn(it, 1).prune(asked({ keepRuns: 0 }));
    return { it, run };
  }

  test('is shown with the tasks that the log knows, and says so', async () => {
    const { it, run } = await pruned();
    await using _it = it;
    const view = await it.rooms.runs.view(run);
    expect(view).toMatchObject({
      state: 'succeeded',
      pruned: { why: 'rule' },
      tasks: [{ id: 'build', state: 'succeeded', artifacts: [{ name: 'out' }] }],
    });
    const report = await runReport(it.rooms.runs, it.rooms.deps, run);
    expect(report).toContain('succeeded');
    expect(report).not.toContain('BROKEN');
    const explained = await explainTask(it.rooms.runs, it.rooms.deps, { run, task: 'build' });
    expect(explained).toMatchObject({ state: 'succeeded', settings: [] });
  });

  test('misses its content by that name, wherever it is asked for', async () => {
    const { it, run } = await pruned();
    await using _it = it;
    const routes = allRoutes({ runs: it.rooms.runs, runsDeps: it.rooms.deps } as RouteDeps);
    const params: Record<string, string> = { id: '@last', task: 'build', name: 'out' };
    const call = {
      param: (name: string) => params[name] ?? '',
      query: { follow: false },
      body: { mode: 'fork', task: 'build', again: false, dryRun: false },
      actor: user,
      incoming: { headers: {} },
      signal: new AbortController().signal,
    } as never;
    for (const name of [
      'taskLog',
      'runPlan',
      'runCheckpoint',
      'runChanges',
      'artifactGet',
      'runContinue',
    ] as const) {
      await expect(routes[name](call), name).rejects.toMatchObject({
        code: expect.stringMatching(/^(?:blob|snapshot)\.unknown$/),
        message: expect.stringContaining(`${run} was pruned: on `),
        hint: `what happened is still on record: orchestra audit list --run ${run}`,
      });
    }
  });

  test('does not keep others from running the same again', async () => {
    const { it } = await pruned();
    await using _it = it;
    const again = await ran(it);
    expect(it.rooms.deps.states.find(again)?.state).toBe('succeeded');
  });
});
