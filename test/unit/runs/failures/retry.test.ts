import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { failureClasses } from '#contract/run.ts';
import { failureRules } from '#daemon/runs/failures/classify.ts';
import { decideRetry, oursMax, type RetryAsk } from '#daemon/runs/failures/retry.ts';

const ask = (more: Partial<RetryAsk> & Pick<RetryAsk, 'failure'>): RetryAsk => ({
  began: true,
  used: { task: 0, ours: 0 },
  random: () => 0.5,
  ...more,
});
const as = (of: RetryAsk['failure']['class'], rule = 'unknown') => ({ class: of, rule });
const spent = (budget: 'task' | 'ours', times: number) => ({ task: 0, ours: 0, [budget]: times });

describe('never, whatever the plan says', () => {
  test.each([
    ['policy', 'needs-network'],
    ['config', 'exit-127'],
    ['code', 'compiler'],
    ['resource', 'oom'],
    ['infra_permanent', 'disk-full'],
    ['unknown', 'cancelled'],
    ['timeout', 'run-timeout'],
  ] as const)('%s (%s)', (of, rule) => {
    expect(decideRetry(ask({ failure: as(of, rule), retries: 10 }))).toEqual({
      retry: false,
      why: 'class',
    });
  });
});

describe('the budget of the task', () => {
  test.each([
    ['a plain exit code', as('unknown'), 0],
    ['a signal', as('unknown', 'signal'), 1],
    ['flaky', as('flaky', 'passed-before'), 1],
    ['a failed test', as('code', 'test-runner'), 0],
    ['its own timeout', as('timeout', 'own-timeout'), 0],
    ['a port in use', as('infra_transient', 'address-in-use'), 1],
    ['a program in use', as('infra_transient', 'text-busy'), 1],
  ])('%s gets as many as the plan says', (_, failure, unasked) => {
    const attempts = (retries?: number) => countRetries(ask({ failure, retries }), 'task');
    expect([attempts(), attempts(0), attempts(2)]).toEqual([unasked, 0, 2]);
  });

  test('what is ours does not use it up, nor the other way round', () => {
    const own = ask({ failure: as('unknown'), retries: 1, used: spent('ours', 3) });
    expect(decideRetry(own)).toMatchObject({ retry: true, budget: 'task', left: 0 });
    const ours = ask({ failure: as('infra_transient', 'lost'), used: spent('task', 10) });
    expect(decideRetry(ours)).toMatchObject({ retry: true, budget: 'ours', left: 2 });
  });
});

describe('our budget', () => {
  test.each(['lost', 'engine-lost', 'engine-refused', 'outcome-unknown', 'passing'])(
    'pays three times for %s, also where the plan says no retries',
    (rule) => {
      const given = ask({ failure: as('infra_transient', rule), retries: 0 });
      expect(countRetries(given, 'ours')).toBe(3);
    },
  );
});

describe('a task with side effects', () => {
  const lost = { failure: as('infra_transient', 'lost'), sideEffects: true };

  test('does not run twice by itself once it may have begun', () => {
    expect(decideRetry(ask({ ...lost, began: true }))).toEqual({
      retry: false,
      why: 'side_effects',
    });
    for (const began of [true, false]) {
      const flaky = ask({ failure: as('flaky'), sideEffects: true, began });
      expect(decideRetry(flaky)).toMatchObject({ retry: false });
    }
  });

  test('is tried again where it had not begun', () => {
    expect(decideRetry(ask({ ...lost, began: false }))).toMatchObject({ retry: true });
  });

  test('runs again where its plan says how often', () => {
    expect(decideRetry(ask({ ...lost, retries: 1 }))).toMatchObject({ budget: 'ours' });
    const failed = ask({ failure: as('unknown'), sideEffects: true, retries: 1 });
    expect(decideRetry(failed)).toMatchObject({ budget: 'task' });
  });
});

describe('the wait', () => {
  const after = (times: number, random: number) => {
    const failure = as('infra_transient', 'lost');
    const decided = decideRetry(ask({ failure, used: spent('ours', times), random: () => random }));
    return decided.retry ? decided.afterMs : undefined;
  };

  test('doubles for the task, and lies anywhere below', () => {
    const ofTask = (times: number, random: number) =>
      decideRetry(
        ask({
          failure: as('unknown'),
          retries: 3,
          used: spent('task', times),
          random: () => random,
        }),
      );
    expect(ofTask(0, 0)).toMatchObject({ afterMs: 0 });
    expect(ofTask(0, 0.5)).toMatchObject({ afterMs: 500 });
    expect(ofTask(2, 0.999)).toMatchObject({ afterMs: 3996 });
  });

  test('of ours is short at first, and in all longer than an engine takes to start again', () => {
    expect([after(0, 0.999), after(1, 0.999), after(2, 0.999)]).toEqual([499, 2998, 17_991]);
    expect([after(0, 0), after(1, 0), after(2, 0)]).toEqual([250, 1500, 9000]);
  });

  test('is at most half a minute', () => {
    const decided = decideRetry(
      ask({ failure: as('unknown'), retries: 10, used: spent('task', 9), random: () => 0.999 }),
    );
    expect(decided).toMatchObject({ afterMs: 29_970 });
  });
});

const anyFailure = fc.record({
  class: fc.constantFrom(...failureClasses),
  rule: fc.oneof(fc.constantFrom(...failureRules.map(({ id }) => id)), fc.string()),
});

test('no sequence of failures gives more attempts or longer waits than both budgets allow', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(anyFailure, fc.boolean(), fc.double({ min: 0, max: 0.999, noNaN: true })), {
        minLength: 40,
        maxLength: 60,
      }),
      fc.option(fc.integer({ min: 0, max: 10 }), { nil: undefined }),
      fc.boolean(),
      (failures, retries, sideEffects) => {
        const used = { task: 0, ours: 0 };
        let waitedMs = 0;
        // As if no end were ever final: the most that could be asked for.
        for (const [failure, began, chance] of failures) {
          const decided = decideRetry(
            ask({ failure, retries, sideEffects, began, used, random: () => chance }),
          );
          if (!decided.retry) continue;
          used[decided.budget] += 1;
          waitedMs += decided.afterMs;
        }
        expect(used.ours).toBeLessThanOrEqual(oursMax);
        expect(used.task).toBeLessThanOrEqual(retries ?? 1);
        expect(waitedMs).toBeLessThan(200_000);
      },
    ),
  );
});

test('nothing that policy refused is ever tried again, under whatever rule', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.constantFrom(...failureRules.map(({ id }) => id)), fc.string()),
      fc.integer({ min: 0, max: 10 }),
      fc.boolean(),
      (rule, retries, began) => {
        expect(decideRetry(ask({ failure: as('policy', rule), retries, began })).retry).toBe(false);
      },
    ),
  );
});

function countRetries(given: RetryAsk, budget: 'task' | 'ours'): number {
  const used = { task: 0, ours: 0 };
  for (;;) {
    const decided = decideRetry({ ...given, used });
    if (!decided.retry) return used[budget];
    expect(decided.budget).toBe(budget);
    used[budget] += 1;
  }
}
