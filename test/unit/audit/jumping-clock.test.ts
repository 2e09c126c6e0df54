import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { ofType, Orchestra } from '#test/support/orchestra.ts';
import { verifyOwn } from '#test/support/verify-own.ts';

const dirs: string[] = [];

afterEach(() => {
  vi.restoreAllMocks();
  for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true, force: true });
});

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const tasks = Array.from({ length: 6 }, (_, n) => ({
  id: `t${n}`,
  tool: 'sh',
  args: ['-c', `exit 0 # ${n}`],
  timeout: '5m',
  ...(n === 0 ? {} : { deps: [`t${n - 1}`] }),
}));

/** The wall clock of the machine as somebody sets it; timers and the monotonic clock go on. */
function wallClock(): { jump(ms: number): void } {
  const real = Date.now.bind(Date);
  let offset = 0;
  vi.spyOn(Date, 'now').mockImplementation(() => real() + offset);
  return {
    jump: (ms) => {
      offset += ms;
    },
  };
}

test.each([
  ['back an hour', -hourMs],
  ['forward a day', dayMs],
])(
  'a clock that is put %s while a run goes on changes nothing but what is recorded of it',
  async (_, ms) => {
    const clock = wallClock();
    const programs = new Map([['t2', { effect: () => clock.jump(ms) }]]);
    await using it = await Orchestra.open({ programs });
    const run = await it.run(tasks);
    const facts = it.rooms.deps.states.find(run);
    expect(facts).toMatchObject({ state: 'succeeded', exitCode: 0 });
    expect(
      [...(facts?.tasks.values() ?? [])].map(({ state, attempt }) => [state, attempt]),
    ).toEqual(tasks.map(() => ['succeeded', 1]));
    // What took how long is told by the clock that does not jump.
    const took = [facts, ...(facts?.tasks.values() ?? [])].map((one) => one?.durationMs ?? -1);
    expect(took.every((each) => each >= 0 && each < 60_000)).toBe(true);
    const jumps = ofType(await it.records(), 'clock.jump');
    expect(jumps).toHaveLength(1);
    expect(Math.abs((jumps[0]?.data.jump_ms ?? 0) - ms)).toBeLessThan(2_000);
    await it.stop();
    expect((await verifyOwn(it.rooms.auditDir)).exit).toBe(0);
  },
);

test.each([
  ['back an hour', -hourMs],
  ['forward a day', dayMs],
])('a daemon that starts with its clock put %s goes on with what was left open', async (_, ms) => {
  const clock = wallClock();
  await using first = await Orchestra.open({ programs: new Map([['t3', { hang: true }]]) });
  const run = await first.submit(tasks);
  await expect
    .poll(() => first.rooms.deps.states.find(run)?.tasks.get('t3')?.state)
    .toBe('running');
  // What a kill would leave now.
  const stateDir = mkdtempSync(join(tmpdir(), 'orchestra-clock-'));
  dirs.push(stateDir);
  cpSync(first.stateDir, stateDir, { recursive: true });
  clock.jump(ms);
  await using second = await Orchestra.open({ stateDir });
  await second.ended(run);
  const facts = second.rooms.deps.states.find(run);
  expect(facts).toMatchObject({ state: 'succeeded', exitCode: 0 });
  const begun = ofType(await second.records(run), 'task.started').map(({ obj }) => obj?.['task']);
  expect(begun).toEqual(['t0', 't1', 't2', 't3', 't3', 't4', 't5']);
  await second.stop();
  expect((await verifyOwn(second.rooms.auditDir)).exit).toBe(0);
});
