import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { requestRow } from '#daemon/runs/requests/view.ts';
import type { AnswerRequest } from '#contract/requests.ts';
import type { Answerer } from '#daemon/runs/requests/entitled.ts';
import type { RequestFacts } from '#daemon/runs/requests/state.ts';
import { runReport } from '#daemon/runs/run-report.ts';
import { person } from '#test/support/asked.ts';
import { ofType, Orchestra, user, type OrchestraOptions } from '#test/support/orchestra.ts';

const root = new URL('../../..', import.meta.url).pathname;
const build = { id: 'build', tool: 'node', args: ['build.js'] };
const deploy = { id: 'deploy', tool: 'node', args: ['deploy.js'] };
const after = { id: 'after', tool: 'node', args: ['after.js'], deps: ['deploy'] };
const [ada, bob] = [person(2001), person(2002)];
const owner = person(user.uid, { isOwner: true });

const dirs: string[] = [];
afterEach(() => {
  for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true, force: true });
});

function folder(name: string): string {
  const dir = mkdtempSync(join(tmpdir(), `orchestra-${name}-`));
  dirs.push(dir);
  return dir;
}

/** The shipped policies and `asking`, which asks for every task called deploy on these terms. */
function policiesThat(ask: string): string {
  const dir = folder('policies');
  cpSync(join(root, 'policies'), dir, { recursive: true });
  writeAsking(dir, ask);
  return dir;
}

function writeAsking(dir: string, ask: string, reason = 'deploys are looked at'): void {
  const text = readFileSync(join(root, 'policies/default.yaml'), 'utf8');
  const rules = `
rules:
  - { id: rest, when: "task.id != 'deploy'", effect: allow, reason: not a deploy }
  - { id: deploys, when: "task.id == 'deploy'", effect: ask, reason: ${reason}, ask: ${ask} }
`;
  writeFileSync(join(dir, 'asking.yaml'), text.replace('name: default', 'name: asking') + rules);
}

async function asking(ask = '{}', options: OrchestraOptions = {}): Promise<Orchestra> {
  return Orchestra.open({ policiesDir: policiesThat(ask), ...options });
}

const under = { policy: { name: 'asking' }, concurrency: 4 };

/** The open request about a task, once there is one. */
async function asked(it: Orchestra, run: string, task = 'deploy'): Promise<RequestFacts> {
  for (let i = 0; i < 2000; i += 1) {
    const { states } = it.rooms.deps.requests;
    const found = states.ofRun(run).find((one) => one.state === 'open' && one.task === task);
    if (found !== undefined) return found;
    await sleep(5);
  }
  throw new Error(
    `nobody is asked about ${task}: ${JSON.stringify(it.rooms.deps.states.find(run))}`,
  );
}

async function recorded(it: Orchestra, run: string, type: string, task?: string): Promise<void> {
  for (let i = 0; i < 2000; i += 1) {
    const records = await it.records(run);
    if (records.some((one) => one.type === type && (!task || one.obj?.['task'] === task))) return;
    await sleep(5);
  }
  throw new Error(`no ${type} of ${run}`);
}

async function say(
  it: Orchestra,
  request: RequestFacts,
  who: Answerer,
  answer: AnswerRequest['answer'],
  more: Partial<AnswerRequest> = {},
): Promise<void> {
  const body = { digest: request.shown, answer, ...more };
  await it.rooms.deps.requests.answer(request.id, body, who);
}

const stateOf = (it: Orchestra, run: string, task: string) =>
  it.rooms.deps.states.find(run)?.tasks.get(task)?.state;
const started = async (it: Orchestra, run: string) =>
  ofType(await it.records(run), 'task.started').map(({ obj }) => obj?.['task']);

/** What is on the disk of a daemon that is killed now. */
function killed(it: Orchestra): string {
  const stateDir = folder('killed');
  cpSync(it.stateDir, stateDir, { recursive: true, verbatimSymlinks: true });
  return stateDir;
}

describe('a task that somebody said no to', () => {
  test('never gets a sandbox, what depends on it is skipped, and the run ends with 6', async () => {
    await using it = await asking();
    const run = await it.submit([build, deploy, after], under);
    await say(it, await asked(it, run), ada, 'deny', { reason: 'not on a Friday' });
    await it.ended(run);
    const facts = it.rooms.deps.states.find(run);
    expect(facts).toMatchObject({ state: 'failed', exitCode: 6 });
    expect(facts?.reason).toMatch(
      /^approval\.denied|^uid:2001 denied deploy at .*: not on a Friday/,
    );
    expect(facts?.tasks.get('deploy')).toMatchObject({
      state: 'failed',
      failure: { class: 'denied', rule: 'approval-denied' },
    });
    expect(stateOf(it, run, 'after')).toBe('skipped');
    expect(await started(it, run)).toEqual(['build']);
  });

  test('has the reason in its report as words and nothing else, whatever they are', async () => {
    await using it = await asking();
    const run = await it.submit([deploy], under);
    const reason = '\u001b[2J<script>x</script>\n# Succeeded\n| a | b |\u202e';
    await say(it, await asked(it, run), ada, 'deny', { reason });
    await it.ended(run);
    const report = await runReport(it.rooms.runs, it.rooms.deps, run);
    // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
    expect(report).not.toMatch(/[\u0000-\u0009\u001b\u202e]/);
    expect(report).not.toContain('<script>');
    expect(report).not.toContain('\n# Succeeded');
  });

  test('is one that nobody answered about in time', async () => {
    await using it = await asking('{ expires: 1s }');
    const run = await it.run([deploy], under);
    expect(it.rooms.deps.states.find(run)).toMatchObject({ state: 'failed', exitCode: 6 });
    expect(it.rooms.deps.states.find(run)?.tasks.get('deploy')?.failure?.rule).toBe(
      'approval-expired',
    );
    expect(await started(it, run)).toEqual([]);
  });

  test('is asked about again when somebody resumes the run', async () => {
    await using it = await asking();
    const run = await it.submit([deploy], under);
    await say(it, await asked(it, run), ada, 'deny', { reason: 'later' });
    await it.ended(run);
    const again = { mode: 'resume', again: false, dryRun: false } as const;
    const { id = '' } = await it.rooms.runs.goOn(run, again, user);
    await say(it, await asked(it, id), ada, 'approve');
    await it.ended(id);
    expect(stateOf(it, id, 'deploy')).toBe('succeeded');
  });
});

describe('leave for one run', () => {
  test('is none for another with the same plan', async () => {
    await using it = await asking();
    const first = await it.submit([deploy], under);
    await say(it, await asked(it, first), ada, 'approve');
    await it.ended(first);
    const second = await it.submit([deploy], under);
    const request = await asked(it, second);
    expect(await started(it, second)).toEqual([]);
    await say(it, request, ada, 'deny', { reason: 'no' });
    await it.ended(second);
  });

  test('counts in the run that goes on from it, where nothing else is asked', async () => {
    await using it = await asking('{}', { programs: new Map([['deploy', { exitCode: 1 }]]) });
    const first = await it.submit([deploy], under);
    await say(it, await asked(it, first), ada, 'approve');
    await it.ended(first);
    it.programs.delete('deploy');
    const again = { mode: 'resume', again: false, dryRun: false } as const;
    const { id = '' } = await it.rooms.runs.goOn(first, again, user);
    await it.ended(id);
    expect(stateOf(it, id, 'deploy')).toBe('succeeded');
    expect(ofType(await it.records(id), 'request.opened')).toEqual([]);
  });

  test('is nothing once the ceiling is another: it is asked anew, about what holds now', async () => {
    const policiesDir = policiesThat('{}');
    await using it = await Orchestra.open({ policiesDir, config: { ceiling: 'asking' } });
    const run = await it.submit([deploy], under);
    const before = await asked(it, run);
    writeAsking(policiesDir, '{ approvals: 2 }', 'two people look at deploys');
    await it.rooms.deps.policies.reload();
    await say(it, before, ada, 'approve');
    const now = await asked(it, run);
    expect(now.ask?.approvals).toBe(2);
    expect(now.policy).not.toBe(before.policy);
    expect(await started(it, run)).toEqual([]);
    await say(it, now, ada, 'approve');
    await say(it, now, bob, 'approve');
    await it.ended(run);
    expect(stateOf(it, run, 'deploy')).toBe('succeeded');
  });
});

describe('a run that waits for people', () => {
  test('ends when it is cancelled, and nothing is asked any more', async () => {
    await using it = await asking();
    const run = await it.submit([deploy], under);
    const request = await asked(it, run);
    await it.rooms.runs.cancel(run, 'enough', user);
    await it.ended(run);
    expect(it.rooms.deps.states.find(run)).toMatchObject({ state: 'cancelled', exitCode: 6 });
    expect(request.state).toBe('withdrawn');
    await expect(say(it, request, ada, 'approve')).rejects.toMatchObject({
      code: 'approval.stale',
    });
    expect(await started(it, run)).toEqual([]);
  });

  test('stays paused when it is paused, whatever people say meanwhile', async () => {
    await using it = await asking();
    const run = await it.submit([deploy], under);
    const request = await asked(it, run);
    await it.rooms.runs.pause(run, { kind: 'drain', reason: 'wait' }, user);
    await say(it, request, ada, 'approve');
    await sleep(50);
    expect(await started(it, run)).toEqual([]);
    const resume = { mode: 'resume', again: false, dryRun: false } as const;
    await it.rooms.runs.goOn(run, resume, user);
    await it.ended(run);
    expect(stateOf(it, run, 'deploy')).toBe('succeeded');
  });

  test('goes on with the next daemon, which asks nothing anew', async () => {
    const policiesDir = policiesThat('{}');
    await using it = await Orchestra.open({ policiesDir });
    const run = await it.submit([build, deploy, after], under);
    const { id } = await asked(it, run);
    await recorded(it, run, 'task.finished', 'build');
    await using next = await Orchestra.open({ stateDir: killed(it), policiesDir });
    const request = await asked(next, run);
    expect(request.id).toBe(id);
    await say(next, request, ada, 'approve');
    await next.ended(run);
    expect(next.rooms.deps.states.find(run)?.state).toBe('succeeded');
    await it.rooms.runs.cancel(run, 'over', user);
  });

  test('whose daemon dies right after the yes runs with the next one, unasked', async () => {
    const policiesDir = policiesThat('{}');
    let copy = '';
    await using it = await Orchestra.open({ policiesDir });
    it.gate = ({ type, obj }) => {
      if (type === 'policy.decided' && obj?.['task'] === 'deploy') copy ||= killed(it);
      return true;
    };
    const run = await it.submit([deploy], under);
    await say(it, await asked(it, run), ada, 'approve');
    await it.ended(run);
    await using next = await Orchestra.open({ stateDir: copy, policiesDir });
    await next.ended(run);
    expect(next.rooms.deps.states.find(run)?.state).toBe('succeeded');
    expect(ofType(await next.records(run), 'request.opened')).toHaveLength(1);
  });

  test('is handed over when its daemon stops for another one', async () => {
    const policiesDir = policiesThat('{}');
    const stateDir = folder('state');
    let run = '';
    {
      await using it = await Orchestra.open({ policiesDir, stateDir });
      run = await it.submit([deploy], under);
      await asked(it, run);
      await it.rooms.endRuns('stop', { leave: true });
      expect(it.rooms.deps.states.find(run)?.closedAt).toBeUndefined();
      await it.stop();
    }
    await using next = await Orchestra.open({ policiesDir, stateDir });
    await say(next, await asked(next, run), ada, 'approve');
    await next.ended(run);
    expect(next.rooms.deps.states.find(run)?.state).toBe('succeeded');
  });

  test('the time in which a run only waits for people does not count', async () => {
    await using it = await asking();
    const run = await it.submit([deploy], { ...under, timeoutMs: 1500 });
    const request = await asked(it, run);
    await recorded(it, run, 'run.stands');
    await sleep(1700);
    await say(it, request, ada, 'approve');
    await it.ended(run);
    expect(it.rooms.deps.states.find(run)?.state).toBe('succeeded');
    expect(ofType(await it.records(run), 'run.goes_on')).toHaveLength(1);
  });

  test('has the time counted in which something else of it is at work', async () => {
    await using it = await asking('{}', { programs: new Map([['build', { hang: true }]]) });
    const run = await it.submit([build, deploy], { ...under, timeoutMs: 1500 });
    await asked(it, run);
    await it.ended(run);
    expect(it.rooms.deps.states.find(run)).toMatchObject({ state: 'timed_out', exitCode: 3 });
    expect(ofType(await it.records(run), 'run.stands')).toEqual([]);
  });
});

test('a task that is asked for waits, and runs once somebody entitled approved', async () => {
  await using it = await asking();
  const run = await it.submit([build, deploy, after], under);
  const request = await asked(it, run);
  expect(stateOf(it, run, 'deploy')).toBe('approval');
  await recorded(it, run, 'task.finished', 'build');
  const view = await it.rooms.runs.view(run);
  expect(view.tasks[1]).toMatchObject({
    state: 'approval',
    asks: [{ id: request.id, kind: 'approval' }],
  });
  await expect(
    say(it, request, person(3000, { roles: ['runner'] }), 'approve'),
  ).rejects.toMatchObject({ code: 'access.denied' });
  expect(await started(it, run)).toEqual(['build']);
  await say(it, request, ada, 'approve');
  await it.ended(run);
  const records = await it.records(run);
  const at = (type: string, task: string) =>
    records.findIndex((one) => one.type === type && one.obj?.['task'] === task);
  expect(at('request.closed', 'deploy')).toBeLessThan(at('task.started', 'deploy'));
  const decided = records[at('policy.decided', 'deploy')];
  expect(decided).toMatchObject({ pol: { rule: 'asking/deploys' }, data: { request: request.id } });
  expect(await started(it, run)).toEqual(['build', 'deploy', 'after']);
  const row = requestRow(it.rooms.deps.requests.states, it.rooms.deps.vault, request);
  expect(row).toMatchObject({ state: 'granted', rules: [{ document: 'asking', id: 'deploys' }] });
});

test('two different people have to approve where the rule says two', async () => {
  await using it = await asking('{ approvals: 2, self: false }');
  const run = await it.submit([deploy], under);
  const request = await asked(it, run);
  await say(it, request, ada, 'approve');
  await say(it, request, ada, 'approve');
  await expect(say(it, request, owner, 'approve')).rejects.toMatchObject({ code: 'access.denied' });
  expect(await started(it, run)).toEqual([]);
  await say(it, request, bob, 'approve');
  await it.ended(run);
  expect(stateOf(it, run, 'deploy')).toBe('succeeded');
});

describe('a question of a plan', () => {
  const planWith = (...questions: object[]) =>
    JSON.stringify({ version: 1, tasks: [{ ...build, questions }] });
  const target = { name: 'TARGET', prompt: 'where to?' };

  test('that is declined fails its task, and nothing of it runs', async () => {
    await using it = await Orchestra.open();
    const run = await it.submit(planWith(target), {});
    await say(it, await asked(it, run, 'build'), owner, 'deny', { reason: 'I do not know' });
    await it.ended(run);
    expect(it.rooms.deps.states.find(run)).toMatchObject({ exitCode: 6 });
    expect(await started(it, run)).toEqual([]);
  });

  test('is asked before the task begins, which finds the answer as a variable', async () => {
    const seen: Record<string, string>[] = [];
    const programs = new Map([
      ['build', { effect: (spec: { env: Record<string, string> }) => void seen.push(spec.env) }],
    ]) as NonNullable<OrchestraOptions['programs']>;
    await using it = await Orchestra.open({ programs });
    const run = await it.submit(planWith(target), {});
    const request = await asked(it, run, 'build');
    expect(stateOf(it, run, 'build')).toBe('question');
    await say(it, request, owner, 'value', { value: 'staging' });
    await it.ended(run);
    expect(it.rooms.deps.states.find(run)?.state).toBe('succeeded');
    expect(seen.map((env) => env['ANSWER_TARGET'])).toEqual(['staging']);
  });

  test('makes a difference to the cache: another answer runs, the same one does not', async () => {
    await using it = await Orchestra.open();
    const answered = async (value: string) => {
      const run = await it.submit(planWith(target), { cache: true });
      await say(it, await asked(it, run, 'build'), owner, 'value', { value });
      await it.ended(run);
      return stateOf(it, run, 'build');
    };
    expect(await answered('a')).toBe('succeeded');
    expect(await answered('b')).toBe('succeeded');
    expect(await answered('a')).toBe('cached');
  });

  test('in confidence is a file of the task and in no variable, log, blob or file of the daemon', async () => {
    const secret = 'correct horse battery staple';
    const specs: { env: Record<string, string>; secrets: readonly string[] }[] = [];
    const programs = new Map([
      [
        'build',
        {
          effect: (spec: (typeof specs)[number]) => void specs.push(spec),
          output: [[1, `it is ${secret}\n`]],
        },
      ],
    ]) as unknown as NonNullable<OrchestraOptions['programs']>;
    await using it = await Orchestra.open({ programs });
    const run = await it.submit(planWith({ ...target, kind: 'secret' }), {});
    await say(it, await asked(it, run, 'build'), owner, 'value', { value: secret });
    await it.ended(run);
    expect(it.rooms.deps.states.find(run)?.state).toBe('succeeded');
    expect(specs.map(({ secrets }) => secrets)).toEqual([['TARGET']]);
    expect(JSON.stringify(specs)).not.toContain('horse');
    const files = readdirSync(it.stateDir, { recursive: true, withFileTypes: true });
    const holding = files
      .filter((file) => file.isFile())
      .filter((file) => readFileSync(join(file.parentPath, file.name)).includes('horse battery'));
    expect(holding).toEqual([]);
    expect(ofType(await it.records(run), 'secret.masked')).toHaveLength(1);
  });

  test('in confidence is asked again by the next daemon, which knows nothing of it', async () => {
    const programs = new Map([['build', { hang: true }]]);
    await using it = await Orchestra.open({ programs });
    const run = await it.submit(planWith({ ...target, kind: 'secret' }), {});
    const first = await asked(it, run, 'build');
    await say(it, first, owner, 'value', { value: 'correct horse battery' });
    await recorded(it, run, 'task.started', 'build');
    await using next = await Orchestra.open({ stateDir: killed(it) });
    const second = await asked(next, run, 'build');
    expect(second.id).not.toBe(first.id);
    await say(next, second, owner, 'value', { value: 'correct horse battery' });
    await next.ended(run);
    expect(next.rooms.deps.states.find(run)?.state).toBe('succeeded');
    await it.rooms.runs.cancel(run, 'over', user);
  });

  test('comes before leave is asked for: whoever approves sees the answer', async () => {
    await using it = await asking();
    const plan = JSON.stringify({ version: 1, tasks: [{ ...deploy, questions: [target] }] });
    const run = await it.submit(plan, under);
    const question = await asked(it, run);
    expect(question.kind).toBe('question');
    await say(it, question, owner, 'value', { value: 'production' });
    let approval = await asked(it, run);
    while (approval.kind === 'question') approval = await asked(it, run);
    const text = await it.rooms.deps.requests.textOf(approval.shown);
    expect(JSON.parse(text)).toMatchObject({
      sandbox: { env: { ANSWER_TARGET: 'production' } },
    });
    await say(it, approval, ada, 'approve');
    await it.ended(run);
    expect(stateOf(it, run, 'deploy')).toBe('succeeded');
  });
});
