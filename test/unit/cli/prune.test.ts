import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { prune } from '#cli/commands/prune.ts';
import type { Context, Options } from '#cli/context.ts';
import { Print } from '#cli/terminal/print.ts';
import type { PruneAnswer, PruneStore } from '#contract/prune.ts';
import { FakeDaemon } from '#test/support/fake-daemon.ts';
import { orchestra } from '#test/support/run-orchestra.ts';

const runs: PruneAnswer['runs'] = [
  { id: 'r-c08pg6cwjx', why: 'rule' },
  { id: 'r-fy47mpkt3z', why: 'budget' },
];
const found: Omit<PruneAnswer, 'dryRun'> = {
  kept: 3,
  dropped: 12,
  runs,
  removed: [
    { what: 'snapshots', entries: 1, bytes: 4096 },
    { what: 'layers', entries: 2, bytes: 1536 },
  ],
  bytes: 5632,
};

async function ran(args: readonly string[], answer = found) {
  await using daemon = await FakeDaemon.open();
  daemon.answer('storePrune', ({ body }) => ({
    json: { dryRun: (body as PruneStore).dryRun, ...answer },
  }));
  const run = orchestra(['prune', ...args], { cwd: '/', host: daemon.host });
  const code = await run.code;
  return { code, out: run.out(), err: run.err(), asked: daemon.asked.map(({ body }) => body) };
}

/** The same on a terminal, where somebody answers. */
async function typed(input: string, options: Options = {}) {
  const asked: unknown[] = [];
  const tty = () => Object.assign(new PassThrough(), { isTTY: true });
  const io = { stdin: tty(), stdout: tty(), stderr: tty() };
  io.stdin.end(input);
  const how = { env: {}, json: false, noColor: true, verbosity: 'normal' } as const;
  const call = (_name: string, { body }: { body: PruneStore }) => {
    asked.push(body);
    return Promise.resolve({ dryRun: body.dryRun, ...found });
  };
  const client = () => Promise.resolve({ call });
  const context = { io, env: {}, print: new Print(io, how), client } as unknown as Context;
  return { code: await prune(context, [], options), asked };
}

test('on a terminal nothing goes without a yes', async () => {
  expect(await typed('n\n')).toEqual({ code: 6, asked: [{ dryRun: true }] });
  expect(await typed('')).toEqual({ code: 6, asked: [{ dryRun: true }] });
  expect(await typed('y\n')).toEqual({ code: 0, asked: [{ dryRun: true }, { dryRun: false }] });
  expect(await typed('', { yes: true })).toEqual({ code: 0, asked: [{ dryRun: false }] });
});

test('numbers that are none are refused, and nothing is asked', async () => {
  for (const args of [['--keep-days', 'two'], ['--all-but=-1'], ['--keep-days', '99999']]) {
    const { code, asked } = await ran(args);
    expect([code, asked]).toEqual([1, []]);
  }
});

test('a script is not asked; what went is told with what it frees', async () => {
  const { code, out, asked } = await ran(['--all-but', '3']);
  expect([code, asked]).toEqual([0, [{ dryRun: false, keepRuns: 3 }]]);
  expect(out).toContain('1 snapshot  4 KiB');
  expect(out).toContain('2 layers    1.5 KiB');
  expect(out).toContain(
    '12 runs are pruned: r-c08pg6cwjx, r-fy47mpkt3z (disk budget), and 10 more',
  );
  expect(out).toContain('5.5 KiB are free; 3 runs are kept');
});

test('a dry run says what would go', async () => {
  const { out, asked } = await ran(['--dry-run', '--keep-days', '2']);
  expect(asked).toEqual([{ dryRun: true, keepDays: 2 }]);
  expect(out).toContain('12 runs would be pruned');
  expect(out).toContain('5.5 KiB would be free');
});

test('nothing to do is said so', async () => {
  const nothing = { ...found, removed: [], dropped: 0, runs: [], bytes: 0 };
  expect((await ran([], nothing)).out).toBe('nothing to remove; 3 runs are kept\n');
});
