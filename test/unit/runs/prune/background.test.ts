import { expect, test } from 'vitest';
import { BackgroundPruning } from '#daemon/runs/prune/background.ts';

const hourMs = 3_600_000;

/** A pruner that takes as long as the test wants. */
class Scene {
  open = 0;
  now = 100 * hourMs;
  began = 0;
  signal: AbortSignal | undefined;
  over = Promise.withResolvers<never>();
  readonly warned: unknown[] = [];
  readonly pruning: BackgroundPruning;

  constructor(lastAt: number) {
    this.pruning = new BackgroundPruning({
      pruner: {
        tidy: (signal) => {
          this.began += 1;
          this.signal = signal;
          signal.addEventListener('abort', () => this.over.reject(signal.reason as Error));
          return this.over.promise;
        },
      },
      lastAt,
      openRuns: () => this.open,
      now: () => this.now,
      logger: { warn: (...said: unknown[]) => void this.warned.push(said) },
    });
  }

  end(): void {
    this.over.resolve(undefined as never);
    this.over = Promise.withResolvers<never>();
  }
}

test('it begins when nobody ran anything for two looks, and an hour after the last time', async () => {
  const scene = new Scene(99.5 * hourMs);
  await scene.pruning.look();
  await scene.pruning.look();
  expect(scene.began).toBe(0);
  scene.now += hourMs;
  scene.open = 1;
  await scene.pruning.look();
  scene.open = 0;
  await scene.pruning.look();
  expect(scene.began).toBe(0);
  const looked = scene.pruning.look();
  expect(scene.began).toBe(1);
  scene.end();
  await looked;
  await scene.pruning.look();
  expect(scene.began).toBe(1);
});

test('it gives way to the first run that comes, and goes on when that is over', async () => {
  const scene = new Scene(98 * hourMs);
  await scene.pruning.look();
  const looked = scene.pruning.look();
  scene.open = 1;
  await scene.pruning.look();
  expect(scene.signal?.aborted).toBe(true);
  await looked;
  scene.over = Promise.withResolvers<never>();
  scene.open = 0;
  await scene.pruning.look();
  void scene.pruning.look();
  expect(scene.began).toBe(2);
  expect(scene.warned).toEqual([]);
});

test('a daemon that is never idle does it once a day all the same, and to its end', async () => {
  const scene = new Scene(75 * hourMs);
  scene.open = 3;
  const looked = scene.pruning.look();
  expect(scene.began).toBe(1);
  await scene.pruning.look();
  expect(scene.signal?.aborted).toBe(false);
  scene.end();
  await looked;
  scene.now += 23 * hourMs;
  await scene.pruning.look();
  expect(scene.began).toBe(1);
});

test('a failure is said once and tried again an hour later; a clock set back puts nothing off', async () => {
  const scene = new Scene(500 * hourMs);
  scene.now += hourMs;
  await scene.pruning.look();
  const looked = scene.pruning.look();
  scene.over.reject(new Error('no'));
  await looked;
  expect(scene.warned).toHaveLength(1);
  scene.over = Promise.withResolvers<never>();
  await scene.pruning.look();
  expect(scene.began).toBe(1);
});

test('disposed, it lets go at once', async () => {
  const scene = new Scene(0);
  const looked = scene.pruning.look();
  scene.pruning[Symbol.dispose]();
  await looked;
  expect(scene.signal?.aborted).toBe(true);
});
