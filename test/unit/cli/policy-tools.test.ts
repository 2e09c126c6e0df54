import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { DryRunAnswer, PolicyDiff, PolicyTestReport } from '#contract/policy-tools.ts';
import { daemonWithRun, runId } from '#test/support/fake-daemon.ts';
import { orchestra } from '#test/support/run-orchestra.ts';
import { tempDir } from '#test/support/temp-dir.ts';

const digest = `sha256:${'a'.repeat(64)}` as const;
const evil = 'x\u001b]0;owned\u0007y';

type Daemon = Awaited<ReturnType<typeof daemonWithRun>>;

async function said(daemon: Daemon, files: readonly string[], ...args: string[]) {
  await using dir = await tempDir();
  for (const name of files) await writeFile(join(dir.path, name), `# ${name}\n`);
  const ran = orchestra(args, { cwd: dir.path, host: daemon.host });
  return { code: await ran.code, out: ran.out(), err: ran.err() };
}

const report = (more: Partial<PolicyTestReport> = {}): PolicyTestReport => ({
  policy: { name: 'site', digest },
  cases: [],
  passed: 1,
  failed: 0,
  coverage: {
    rules: [{ document: 'site', rule: 'no', line: 7, effect: 'deny', held: 0, decided: 0 }],
    profiles: [],
    covered: 1,
    total: 2,
    percent: 50,
  },
  ...more,
});

describe('policy test', () => {
  test('without a case is a mistake, and says where cases belong', async () => {
    await using daemon = await daemonWithRun();
    const { code, err } = await said(daemon, ['site.yaml'], 'policy', 'test', '.');
    expect(code).toBe(1);
    expect(err).toContain('NAME.test.yaml');
  });

  test('of cases without their policy is a mistake', async () => {
    await using daemon = await daemonWithRun();
    const { code, err } = await said(daemon, ['site.test.yaml'], 'policy', 'test', '.');
    expect(code).toBe(1);
    expect(err).toContain('no site.yaml beside site.test.yaml');
  });

  test('ends with 1 where a case is not as expected, and shows both sides', async () => {
    await using daemon = await daemonWithRun();
    const failed = {
      file: 'site.test.yaml',
      line: 3,
      name: evil,
      ok: false,
      expected: { effect: 'allow', rule: 'builds' },
      got: { effect: 'deny', rules: ['site/no'], profile: 'standard', reasons: [evil] },
      differs: ['the effect is deny, not allow'],
    } as const;
    const json = report({
      cases: [
        {
          ...failed,
          got: { ...failed.got, rules: ['site/no'], reasons: [evil] },
          differs: [...failed.differs],
        },
      ],
      failed: 1,
      passed: 0,
    });
    daemon.answer('policyTest', { json });
    const files = ['site.yaml', 'site.test.yaml', 'site.more.test.yaml', 'other.yaml'];
    const { code, out } = await said(daemon, files, 'policy', 'test', 'site.yaml');
    expect(code).toBe(1);
    expect(out).toContain('- expected  allow by builds');
    expect(out).toContain('+ got       deny by site/no in profile standard');
    expect(out).not.toContain('\u001b]0');
    const asked = daemon.asked.filter(({ name }) => name === 'policyTest');
    expect(asked.map(({ body }) => body)).toMatchObject([
      {
        policy: { file: 'site.yaml', text: '# site.yaml\n' },
        tests: [{ file: 'site.more.test.yaml' }, { file: 'site.test.yaml' }],
        under_ceiling: false,
      },
    ]);
  });

  test('ends with 1 where fewer rules are reached than asked for', async () => {
    await using daemon = await daemonWithRun();
    daemon.answer('policyTest', { json: report() });
    const files = ['site.yaml', 'site.test.yaml'];
    expect((await said(daemon, files, 'policy', 'test')).code).toBe(0);
    const short = await said(daemon, files, 'policy', 'test', '--coverage-min', '51');
    expect(short.code).toBe(1);
    expect(short.out).toContain('held in no case');
    expect((await said(daemon, files, 'policy', 'test', '--coverage-min', '50')).code).toBe(0);
  });
});

const diff = (more: Partial<PolicyDiff> = {}): PolicyDiff => ({
  before: { name: 'a', digest },
  after: { name: 'b', digest },
  changes: [],
  opened: [],
  closed: [],
  altered: [],
  tried: 3,
  exhaustive: true,
  ...more,
});

test('policy diff ends with 10 for a difference only where that is asked for', async () => {
  await using daemon = await daemonWithRun();
  daemon.answer('policyDiff', { json: diff() });
  expect((await said(daemon, [], 'policy', 'diff', 'a', 'b', '--exit-code')).code).toBe(0);
  const changes = [{ where: 'tools', what: `${evil} is new`, way: 'wider' as const }];
  daemon.answer('policyDiff', { json: diff({ changes }) });
  expect((await said(daemon, [], 'policy', 'diff', 'a', 'b')).code).toBe(0);
  const { code, out } = await said(daemon, [], 'policy', 'diff', 'a', 'b', '--exit-code');
  expect(code).toBe(10);
  expect(out).toContain('every other one goes as one of them');
  expect(out).not.toContain('\u001b]0');
});

const dry = (more: Partial<DryRunAnswer> = {}): DryRunAnswer => ({
  policy: { name: 'a', digest },
  runs: 2,
  tasks: 14,
  same: 2,
  changed: [],
  changed_total: 12,
  denied: 12,
  asked: 0,
  allowed: 0,
  by_rule: [],
  unknown: [{ why: 'its plan is pruned', runs: 3, tasks: 0 }],
  ...more,
});

test('policy dry-run counts what would change, and what nobody can tell', async () => {
  await using daemon = await daemonWithRun();
  daemon.answer('policyDryRun', { json: dry() });
  const { code, out } = await said(
    daemon,
    [],
    'policy',
    'dry-run',
    'a',
    '--since',
    '30d',
    '--exit-code',
  );
  expect(code).toBe(10);
  expect(out).toContain('12 tasks would now be denied');
  expect(out).toContain('3 runs: its plan is pruned');
  expect(await said(daemon, [], 'policy', 'dry-run', 'a', '--since', 'soon')).toMatchObject({
    code: 1,
  });
});

test('policy explain shows each rule with its document, line and digest', async () => {
  await using daemon = await daemonWithRun();
  daemon.answer('policyExplain', {
    json: {
      run: runId,
      policy: { name: 'site', digest },
      documents: [{ name: 'site', digest, rules: 2, profiles: [], in_force: false }],
      tasks: [
        {
          task: 'build',
          decisions: [
            {
              seq: 9,
              at: '2026-01-01T00:00:00.000Z',
              hash: 'a'.repeat(64),
              moment: 'used',
              attempt: 1,
              effect: 'deny',
              profiles: [],
              reasons: [],
              rules: [
                {
                  document: 'site',
                  id: 'no',
                  digest,
                  line: 7,
                  effect: 'deny',
                  value: 'true',
                  decides: true,
                  reason: evil,
                },
                {
                  document: 'site',
                  id: 'yes',
                  digest,
                  line: 9,
                  effect: 'allow',
                  value: 'error',
                  decides: false,
                  reason: '',
                },
              ],
              source: 'kept',
            },
          ],
        },
      ],
      total: 1,
    },
  });
  const { code, out } = await said(daemon, [], 'policy', 'explain', runId, 'build');
  expect(code).toBe(0);
  expect(out).toContain('not in force any more');
  expect(out).toMatch(/→ +site\/no +deny +true +line 7 +sha256:aaaaaaaaaaaa/);
  expect(out).toMatch(/ {2,}site\/yes +allow +error +line 9/);
  expect(out).not.toContain('\u001b]0');
});
