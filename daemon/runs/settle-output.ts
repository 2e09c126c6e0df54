import { setImmediate as turn } from 'node:timers/promises';
import type { OutputFile } from './output.ts';

const withinMs = 250;

/**
 * For a process that is about to end without ending what runs: resolves in the turn in which nothing
 * that was read of a task's output is on its way to a file any more. The rest waits in the kernel's
 * pipes for the next daemon. A task that never stops writing is not waited for beyond `limitMs`.
 */
export async function settleOutput(
  outputs: () => readonly Pick<OutputFile, 'isIdle'>[],
  limitMs: number = withinMs,
): Promise<boolean> {
  const startedAt = performance.now();
  for (;;) {
    // What was read in a turn has been handed on to its file by the end of it.
    await turn();
    if (outputs().every(({ isIdle }) => isIdle)) return true;
    if (performance.now() - startedAt > limitMs) return false;
  }
}
