import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { PlannerList, plannerSettings } from '#daemon/planner/models/settings.ts';
import type { AnyEntry } from '#daemon/audit/types.ts';
import { anthropic, ModelServer, says } from '#test/support/model-server.ts';
import { ofType, Orchestra } from '#test/support/orchestra.ts';
import { keyFile, planner, saidPlan } from '#test/support/planning.ts';
import { tempDir } from '#test/support/temp-dir.ts';

const npm = (script: string) => ({ tool: 'npm', args: ['run', script] });
const plan = saidPlan(
  { id: 'prepare', ...npm('prepare') },
  { id: 'build', ...npm('build'), deps: ['prepare'] },
  { id: 'pack', ...npm('pack'), deps: ['build'] },
);
const task = { id: 'bundle', title: 't', why: 'w', ...npm('bundle'), deps: ['prepare'] };
const around = JSON.stringify({ operations: [{ op: 'replace', id: 'build', deps: null, task }] });
const fails = { exitCode: 2, output: [[2, 'error TS2304: no name\n']] as [2, string][] };

/** What is about to be on record when the daemon dies. */
const deaths: Readonly<Record<string, (entry: AnyEntry) => boolean>> = {
  'before anybody was asked': ({ type, obj }) => type === 'planner.asked' && obj === undefined,
  'before the new plan was on record': ({ type }) => type === 'plan.revised',
  'before anything of it began': ({ type, obj }) =>
    type === 'task.started' && obj?.['task'] === 'bundle',
};

test.each(Object.entries(deaths))(
  'a daemon that dies %s leaves a run that goes on to the same end, and runs nothing twice',
  async (_, isIt) => {
    const dir = await tempDir();
    const server = await ModelServer.open(says(anthropic, plan), says(anthropic, around));
    const settings = PlannerList.parse([planner(anthropic, server, keyFile(dir.path))]);
    const config = { planners: plannerSettings(settings), planWithinMs: 10_000 };
    const programs = new Map([['build', fails]]);
    const stateDir = join(dir.path, 'killed');
    let failed = false;
    let isDead = false;
    const first = await Orchestra.open({
      config,
      programs,
      gate: (entry) => {
        failed ||= entry.type === 'failure.classified';
        if (!failed || isDead || !isIt(entry)) return true;
        isDead = true;
        cpSync(first.stateDir, stateDir, { recursive: true, verbatimSymlinks: true });
        return true;
      },
    });
    onTestFinished(async () => {
      await first[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
      await dir[Symbol.asyncDispose]();
    });
    const run = await first.run('', {
      intent: 'build it',
      files: { 'package.json': '{"scripts":{"build":"x","bundle":"x"}}' },
    });
    expect(isDead).toBe(true);
    await using second = await Orchestra.open({ stateDir, config, programs });
    await second.ended(run);
    const records = await second.records(run);
    expect(ofType(records, 'plan.revised')).toHaveLength(1);
    const started = ofType(records, 'task.started').map(({ obj }) => obj?.['task']);
    expect(started).toEqual(['prepare', 'build', 'bundle', 'pack']);
    expect(await second.rooms.runs.view(run)).toMatchObject({ state: 'succeeded', exitCode: 0 });
    expect(ofType(records, 'run.recovered')).toHaveLength(1);
  },
);
