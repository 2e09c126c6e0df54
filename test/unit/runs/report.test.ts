import { expect, test } from 'vitest';
import type { Plan } from '#contract/plan.ts';
import type { AnyRecord } from '#contract/records.ts';
import { reportOf, type ReportFacts } from '#daemon/runs/report.ts';
import { RunStates } from '#daemon/runs/state.ts';
import { viewOf } from '#daemon/runs/view.ts';
import {
  artifactCollected,
  note,
  runClosed,
  someRun,
  submitted,
  taskFinished,
  taskStarted,
} from '#test/support/records.ts';

const plan = {
  planner: 'rules',
  assumptions: ['there is <b>one</b> package'],
  tasks: [
    { id: 'build', title: 'B', tool: 'node', deps: [], command: ['node', 'build.js'] },
    { id: 'test', title: 'T', tool: 'node', deps: ['build'], command: ['node', '|', 'x'] },
  ],
} as unknown as Plan;

function reportOn(records: readonly AnyRecord[], facts: Partial<ReportFacts> = {}): string {
  const states = new RunStates();
  for (const record of records) states.fold(record);
  const run = states.find(someRun);
  if (!run) throw new Error('there is no run');
  return reportOf({
    run: viewOf(run, plan),
    plan,
    clamped: run.clamped,
    engine: 'fake 1',
    audit: { verdict: 'whole', head: 'f'.repeat(64), size: 9 },
    ...facts,
  });
}

test('a report tells result, tasks, artifacts, plan and log from the records alone', () => {
  const report = reportOn([
    submitted(),
    taskStarted('build'),
    artifactCollected('build', 'dist'),
    taskFinished('build', 'failed', {
      exit_code: 3,
      limit: 'memory',
      reason: 'exit 3',
      output_truncated: true,
    }),
    note('task.skipped', { reason: 'build did not succeed' }, { obj: { task: 'test' } }),
    runClosed('failed'),
  ]);
  expect(report).toContain('**failed** after 9ms, exit 2: 1 failed, 1 skipped');
  expect(report).toMatch(
    /^\| build \| failed \| 5ms \| 3 \| memory \| 1 KiB \| .*cut off.*exit 3 \|$/m,
  );
  expect(report).toContain('build/dist');
  expect(report).toContain('3'.repeat(64));
  expect(report).toContain('build did not succeed');
  expect(report).toContain('Records 0 to 0 of the log, 6 of them of this run.');
  expect(report).toContain('Log: whole; 9 records');
});

test('a run that never got a plan has a report too, with every reason', () => {
  const reasons = ['first', 'second'];
  const refused = note('run.refused', { code: 'plan.invalid', reasons });
  const report = reportOn([submitted(), refused, runClosed('refused')], { plan: undefined });
  expect(report).toContain('## Reasons\n\n- first\n- second');
  expect(report).not.toContain('## Plan');
});

test('a run that is open says so', () => {
  expect(reportOn([submitted(), taskStarted('build')])).toContain('| closed | still open |');
});

test('nothing that a stranger wrote breaks out of its place', () => {
  const intent = 'x\n# Fake | <script> [a](http://evil) `code`';
  const record = submitted();
  const report = reportOn([
    { ...record, data: { ...record.data, intent, workspace: '| a |\n' } } as AnyRecord,
    taskFinished('build', 'failed', { reason: '| all fine |\n\n# Passed' }),
  ]);
  expect(report.split('\n').filter((line) => line.startsWith('# '))).toHaveLength(1);
  expect(report).not.toMatch(/^# Passed|<script>|<b>|(?<!\\)\]\(http/m);
  const rows = report.split('\n').filter((line) => line.startsWith('| build |'));
  // Three of the task, one in each table; a bar of a stranger is no column.
  expect(rows.map((row) => row.split(/(?<!\\)\|/).length)).toEqual([11, 11, 5]);
});

test('a limit that ended a task and the most that it used are told', () => {
  const report = reportOn([
    submitted(),
    taskStarted('build'),
    note(
      'limit.exceeded',
      { attempt: 1, limit: 'disk', allowed: 2 * 1024 ** 3, peak: 2.1 * 1024 ** 3 },
      { obj: { task: 'build' } },
    ),
    taskFinished('build', 'failed', {
      limit: 'disk',
      reason: 'limit.disk: 2 GiB allowed, 2.1 GiB used',
      cpu_throttled_ms: 1500,
      pids_peak: 7,
      open_files_peak: 21,
      disk_bytes: 5 * 1024 ** 2,
      disk_files: 12,
      tmp_peak_bytes: 4096,
    }),
    runClosed('failed'),
  ]);
  expect(report).toContain('limit.disk: 2 GiB allowed, 2.1 GiB used');
  expect(report).toMatch(
    /^\| build \| \S+ \| 1\.5s \| 1 KiB \| 7 \| 21 \| 5 MiB \| 12 \| 4 KiB \|$/m,
  );
});

test('what was left out of layer and output is told with its count and the first reasons, harmless', () => {
  const obj = { task: 'build' };
  const first = ['| a |\n# Passed', 'b', 'c', 'd'].map((path) => ({ path, reason: 'fifo' }));
  const report = reportOn([
    submitted(),
    taskStarted('build'),
    note('artifact.left_out', { name: 'dist', entries: 1, first: first.slice(1, 2) }, { obj }),
    note('layer.left_out', { attempt: 1, entries: 40, first }, { obj }),
    taskFinished('build', 'succeeded'),
    runClosed('succeeded'),
  ]);
  expect(report).toContain('- **build** 1 entry of output dist left out or disarmed: "b" (fifo)\n');
  expect(report).toMatch(
    /^- \*\*build\*\* 40 entries of its changes left out or disarmed: .*"b" \(fifo\), "c" \(fifo\), and 37 more$/m,
  );
  expect(report).not.toMatch(/^# Passed/m);
  expect(reportOn([submitted(), taskStarted('build')])).not.toContain('Left out');
});
