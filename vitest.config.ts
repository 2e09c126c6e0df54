import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

// Every file thread and every program that a test starts would otherwise strip the types of all that
// it loads once more: 200 ms of processor time for a thread instead of 50.
process.env['NODE_COMPILE_CACHE'] ??= join(import.meta.dirname, '.toolchain', 'compiled');

const timeouts = { testTimeout: 30_000, hookTimeout: 60_000 };

export default defineConfig({
  test: {
    // Tests wait for disks and timers; one core less than there are would stand idle meanwhile.
    maxWorkers: availableParallelism() + 1,
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts'],
          ...timeouts,
          // No module keeps state, so that nothing has to be loaded anew for each file.
          isolate: false,
          // Of a machine that does other things as well, a second is not much.
          expect: { poll: { timeout: 15_000 } },
        },
      },
      {
        test: {
          name: 'engine',
          include: ['test/engine/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          fileParallelism: false,
          expect: { poll: { timeout: 60_000, interval: 100 } },
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts', 'test/hostile/**/*.test.ts'],
          testTimeout: 300_000,
          hookTimeout: 300_000,
          fileParallelism: false,
          expect: { poll: { timeout: 60_000, interval: 100 } },
        },
      },
    ],
  },
});
