import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import type { AnyRecord } from '#contract/records.ts';
import { auditRoutes } from '#daemon/http/routes/audit.ts';
import { vaultRoutes } from '#daemon/http/routes/vault.ts';
import type { RouteDeps } from '#daemon/http/routes/deps.ts';
import { openIndex } from '#daemon/audit/index-db.ts';
import { runReport } from '#daemon/runs/run-report.ts';
import { callerWith } from '#test/support/edge.ts';
import { note } from '#test/support/records.ts';
import { ofType, Orchestra } from '#test/support/orchestra.ts';
import { RunStates } from '#daemon/runs/state.ts';
import { viewOf } from '#daemon/runs/view.ts';

const words = 'mail the bill to gwendolyn@example.org';
const person = { kind: 'user', auth: 'peer', uid: 4242, name: 'gwendolyn' } as const;
const check = { id: 'check', tool: 'node', args: ['check.js'] };
let open: Orchestra | undefined;
afterEach(async () => {
  await open?.[Symbol.asyncDispose]();
  open = undefined;
});

/** A run that she asked for, in these words, by a plan of her own. */
async function asked(): Promise<{ it: Orchestra; run: string }> {
  const it = (open = await Orchestra.open());
  const plan = { text: JSON.stringify({ version: 1, tasks: [check] }), file: 'plan.yaml' };
  const snapshot = await it.snapshot();
  const request = { intent: words, snapshot, workspace: 'demo', plan, cache: false };
  const run = await it.rooms.runs.submit(request, person);
  await it.ended(run);
  return { it, run };
}

/** Files of the daemon that hold any of it, the vault's own left out. */
function filesWith(it: Orchestra, texts: readonly string[]): string[] {
  return readdirSync(it.stateDir, { recursive: true, encoding: 'utf8', withFileTypes: true })
    .filter((each) => each.isFile())
    .map((each) => join(each.parentPath, each.name))
    .filter((file) => {
      const content = readFileSync(file, 'latin1');
      return texts.some((text) => content.includes(text));
    });
}

async function routesOf(it: Orchestra) {
  const index = await openIndex({ dir: it.rooms.auditDir, log: it.log });
  const deps = { runsDeps: it.rooms.deps, index } as unknown as RouteDeps;
  return { index, routes: vaultRoutes(deps) };
}

describe('what somebody asked for, and who it was', () => {
  test('stands nowhere in the state of the daemon in clear: not in the log, nor in a blob', async () => {
    const { it } = await asked();
    expect(filesWith(it, [words, 'gwendolyn'])).toEqual([]);
    await it.rooms.deps.log.saveHead();
    const text = (await Array.fromAsync(it.log.read())).map(({ line }) => line).join('\n');
    expect(text).not.toContain('gwendolyn');
  });

  test('stands nowhere either where a run was refused for its words, and she is told which', async () => {
    const it = (open = await Orchestra.open());
    const snapshot = await it.snapshot({ 'package.json': '{"scripts":{"build":"x"}}' });
    const request = { intent: 'build gwendolyn', snapshot, workspace: 'demo' };
    const run = await it.rooms.runs.submit(request, person);
    await it.ended(run);
    expect(filesWith(it, ['gwendolyn'])).toEqual([]);
    const view = await it.rooms.runs.view(run);
    expect(view.state).toBe('refused');
    expect(view.reasons.join('\n')).toContain('"gwendolyn"');
    expect(view.reason).toContain('"gwendolyn"');
  });

  test('is shown to whoever looks at the run, and as erased once she is', async () => {
    const { it, run } = await asked();
    const { runs, deps } = it.rooms;
    const seen = async () => [
      (await runs.view(run)).intent,
      (await runs.view(run)).submittedBy,
      (await runs.list({ limit: 5 }, callerWith(['admin']))).items[0]?.intent,
      (await runReport(runs, deps, run)).split('\n')[0],
    ];
    expect(await seen()).toEqual([
      words,
      'gwendolyn',
      words,
      `# ${run}: mail the bill to gwendolyn\\@example.org`,
    ]);
    const { routes, index } = await routesOf(it);
    const call = { param: () => 'gwendolyn', body: { reason: 'she asked' }, actor: person };
    await routes.auditErase(call as never);
    await index.close();
    expect(await seen()).toEqual(['(erased)', '(erased)', '(erased)', `# ${run}: (erased)`]);
    expect(ofType(await it.records(), 'data.erased').map(({ stage }) => stage)).toEqual([
      'intent',
      'result',
    ]);
  });

  test('is told by record and list only after it is on record that it was', async () => {
    const { it, run } = await asked();
    const [submitted] = ofType(await it.records(run), 'run.submitted');
    const { routes, index } = await routesOf(it);
    const call = (param: string) => ({ param: () => param, body: {}, actor: person }) as never;
    const told = await routes.auditDisclose(call(String(submitted?.seq)));
    expect(told).toMatchObject({ field: 'intent', value: words });
    await expect(routes.auditDisclose(call('0'))).rejects.toMatchObject({ code: 'data.unknown' });
    await expect(routes.auditDisclose(call('99999'))).rejects.toMatchObject({
      code: 'record.unknown',
    });
    const subject = submitted?.data.subject;
    expect(await routes.auditSubjects(call(''))).toEqual({
      items: [{ subject, uid: 4242, name: 'gwendolyn' }],
    });
    await index.close();
    const records = await it.records();
    expect(ofType(records, 'data.disclosed')).toHaveLength(1);
    expect(ofType(records, 'log.read').at(-1)?.data).toMatchObject({ what: 'subjects' });
  });

  test('gets into the log by no search for the name, which finds what she did all the same', async () => {
    const { it } = await asked();
    const index = await openIndex({ dir: it.rooms.auditDir, log: it.log });
    const { runs, deps, auditDir } = it.rooms;
    const routes = auditRoutes({ runs, runsDeps: deps, index, auditDir } as unknown as RouteDeps);
    const query = { actor: 'gwendolyn', limit: 9, order: 'oldest', source: 'index' };
    const call = { param: () => '', query, actor: person } as never;
    const { items } = (await routes.auditList(call)) as { items: { record: AnyRecord }[] };
    await index.close();
    expect(items.map(({ record }) => record.type)).toEqual(['run.submitted']);
    expect(ofType(await it.records(), 'log.read')).toHaveLength(1);
    expect(JSON.stringify(ofType(await it.records(), 'log.read')[0]?.data)).not.toContain('gwen');
  });

  test('goes with the run that goes on from hers, as the same commitment', async () => {
    const { it, run } = await asked();
    const { id = '' } = await it.rooms.runs.goOn(
      run,
      { mode: 'fork', task: 'check', again: false, dryRun: false },
      { kind: 'user', auth: 'peer', uid: 5 },
    );
    await it.rooms.runs.open(id)?.done;
    const [first, second] = ofType(await it.records(), 'run.submitted');
    expect(second?.data.intent_commitment).toBe(first?.data.intent_commitment);
    expect(second?.actor.name).not.toBe(first?.actor.name);
    expect((await it.rooms.runs.view(id)).intent).toBe(words);
  });
});

test('a record from before there was a vault is read as it was', () => {
  const states = new RunStates();
  const data = { snapshot: `sha256:${'1'.repeat(64)}`, policy: 'default', concurrency: 1 } as const;
  const before = { ...data, intent: 'try it', timeout_ms: 1, workspace: 'demo' };
  const actor = { kind: 'user', auth: 'peer', uid: 7, name: 'ada' } as const;
  states.fold(note('run.submitted', before, { actor }));
  const [run] = states.all();
  expect(run && viewOf(run, undefined)).toMatchObject({ intent: 'try it', submittedBy: 'ada' });
});
