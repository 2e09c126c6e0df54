import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openIndex } from '#daemon/audit/index-db.ts';
import { BackgroundVerify, lastVerifiedAt } from '#daemon/audit/verify/background.ts';
import { verifyInThread, type VerifyTask } from '#daemon/audit/verify/in-thread.ts';
import type { Verdict } from '#verifier/verdict.ts';
import { closed, FakeClock, noise, skipped, testLog, type TestLog } from '../fixture.ts';

const day = 24 * 60 * 60_000;

type Verify = (task: VerifyTask, signal?: AbortSignal) => Promise<Verdict>;

function background(it: TestLog, { verify, at = day }: { verify?: Verify; at?: number } = {}) {
  const said: string[] = [];
  const tell = (_about: unknown, words?: string) => void said.push(words ?? '');
  const watch = new BackgroundVerify({
    dir: it.dir,
    log: it.log,
    lastAt: 0,
    keys: () => [],
    now: () => at,
    logger: { warn: tell, error: tell },
    ...(verify === undefined ? {} : { verify }),
  });
  return { watch, said };
}

/** A verdict as if the verifier had come to it. */
async function verdictOf(it: TestLog, exit: Verdict['exit']): Promise<Verdict> {
  const task = { dir: it.dir, options: { upTo: it.log.size, keys: [] }, stepsBack: false };
  const names = { 0: 'verified', 1: 'tampered', 2: 'unchecked', 3: 'incomplete' } as const;
  return { ...(await verifyInThread(task)), exit, verdict: names[exit], findings: [] };
}

const recorded = (it: TestLog) => it.folded.filter(({ type }) => type === 'log.verified');

test('a log that was changed is on record as an alert, and takes nothing after that', async () => {
  await using it = await testLog();
  for (let n = 0; n < 20; n += 1) await it.log.append(skipped('r-a', `reason ${n}`));
  const file = await open(join(it.dir, 'segments', '0000000000000000.jsonl'), 'r+');
  const text = await file.readFile('utf8');
  await file.write('REASON', text.indexOf('reason 5'));
  await file.close();
  const { watch } = background(it);
  await using _watch = watch;
  await watch.look();
  expect(recorded(it)).toMatchObject([{ sev: 'alert', outcome: 'failed' }]);
  expect(it.log.blocked?.code).toBe('audit.broken');
  await expect(it.log.append(noise('after'))).rejects.toMatchObject({ code: 'audit.broken' });
  await watch.look();
  expect(recorded(it)).toHaveLength(1);
});

test('what a second look does not find again does not end the daemon', async () => {
  await using it = await testLog();
  const verdicts = [await verdictOf(it, 1), await verdictOf(it, 3)];
  const { watch } = background(it, { verify: () => Promise.resolve(verdicts.shift()!) });
  await using _watch = watch;
  await watch.look();
  expect(it.log.blocked).toBeUndefined();
  expect(recorded(it)).toMatchObject([{ sev: 'info', outcome: 'ok' }]);
});

test('a log that cannot be checked is on record as a warning, and goes on', async () => {
  await using it = await testLog();
  const verdict = await verdictOf(it, 2);
  const { watch, said } = background(it, { verify: () => Promise.resolve(verdict) });
  await using _watch = watch;
  await watch.look();
  expect(it.log.blocked).toBeUndefined();
  expect(recorded(it)).toMatchObject([{ sev: 'warn', outcome: 'failed' }]);
  expect(said).toEqual(['log not verified']);
});

test('a thread that dies is told, and tried again a day later', async () => {
  await using it = await testLog();
  let asked = 0;
  const { watch, said } = background(it, {
    verify: () => {
      asked += 1;
      return Promise.reject(new Error('gone'));
    },
  });
  await using _watch = watch;
  await watch.look();
  await watch.look();
  expect(asked).toBe(1);
  expect(said).toEqual(['the log could not be verified']);
  expect(it.log.blocked).toBeUndefined();
});

test('before a day is over nobody reads the log, and two looks share one reading', async () => {
  await using it = await testLog();
  let asked = 0;
  const verify: Verify = async () => {
    asked += 1;
    return verdictOf(it, 0);
  };
  const early = background(it, { verify, at: day - 1 });
  await using _early = early.watch;
  await early.watch.look();
  expect(asked).toBe(0);
  const due = background(it, { verify });
  await using _due = due.watch;
  await Promise.all([due.watch.look(), due.watch.look()]);
  await due.watch.look();
  expect(asked).toBe(1);
});

test('while it is being written, a log is verified up to what was durable when it began', async () => {
  await using it = await testLog();
  await it.log.append(skipped('r-a'));
  const { watch } = background(it);
  await using _watch = watch;
  const looking = watch.look();
  const { size } = it.log;
  for (let n = 0; n < 200; n += 1) void it.log.append(noise(`meanwhile ${n}`));
  await it.log.append(closed('r-a'));
  await looking;
  const [record] = recorded(it);
  expect(record).toMatchObject({ sev: 'info', data: { records: size } });
  expect(it.log.blocked).toBeUndefined();
});

test('a daemon that stops does not wait for the end of it', async () => {
  await using it = await testLog();
  const { watch, said } = background(it, {
    verify: (_task, signal) =>
      new Promise((_resolve, reject) => {
        signal?.addEventListener('abort', () => reject(signal.reason as Error));
      }),
  });
  const looking = watch.look();
  await watch[Symbol.asyncDispose]();
  await looking;
  expect(recorded(it)).toEqual([]);
  expect(said).toEqual([]);
});

test('when it was done last is in the log itself', async () => {
  const clock = new FakeClock();
  await using it = await testLog({ clock });
  const index = await openIndex(it);
  expect(await lastVerifiedAt(index)).toBe(clock.wall);
  clock.pass(1_000);
  await it.log.append(noise('later'));
  const { watch } = background(it, { verify: () => verdictOf(it, 0) });
  await watch.look();
  const at = clock.wall;
  clock.pass(1_000);
  // What a user asked for does not count: nobody puts off what the daemon does by itself.
  const actor = { kind: 'user', auth: 'peer', uid: 1000 } as const;
  await it.log.append({
    type: 'log.verified',
    actor,
    data: { records: 1, verdict: 'verified', reason: '', duration_ms: 1 },
  });
  expect(await lastVerifiedAt(index)).toBe(at);
  await index.close();
  await watch[Symbol.asyncDispose]();
});
