import { openThreads, type Threads } from '#daemon/workspace/threads.ts';

let threads: Threads | undefined;

/**
 * File threads for all tests of one process: most of a short test would be the start of its own.
 * They keep no process alive and nothing from one piece of work for the next.
 */
export function sharedThreads(): Threads {
  threads ??= openThreads();
  return threads;
}
