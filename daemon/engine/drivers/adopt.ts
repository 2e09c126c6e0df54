import { setTimeout as sleep } from 'node:timers/promises';
import type { Adopted, Attached, ContainerState, OutputPiece } from '../engine.ts';

/** The engine's word for the state of a container, in ours. */
export function statusFrom(state: string): ContainerState['status'] {
  switch (state) {
    // Podman's word for a container whose runtime waits before the first program.
    case 'initialized':
      return 'created';
    case 'created':
    case 'running':
    case 'paused':
    case 'exited':
    case 'dead':
      return state;
    // And for one that ended and that nobody has cleaned up after yet.
    case 'stopped':
      return 'exited';
    default:
      return 'unknown';
  }
}

/** What a container that was let go can be found as; undefined for one that never was. */
export function foundAs(status: ContainerState['status']): Adopted['found'] | undefined {
  switch (status) {
    case 'running':
    case 'paused':
    case 'exited':
      return status;
    case 'dead':
      return 'exited';
    case 'created':
    case 'unknown':
      return undefined;
  }
}

const lookMs = 200;

/**
 * The output of a container that is adopted, attached to when somebody reads it. An engine refuses
 * while the container is frozen: then it is asked again until it is not, or nobody reads any more.
 */
export function followOnce(
  found: Adopted['found'],
  { follow, isFrozen }: { follow: () => Promise<Attached>; isFrozen: () => Promise<boolean> },
): Attached {
  const closed = new AbortController();
  let attached: Attached | undefined;
  async function* output(): AsyncGenerator<OutputPiece, void, undefined> {
    if (found === 'exited') return;
    try {
      while (await isFrozen()) {
        if (!(await pause(lookMs, closed.signal))) return;
      }
      attached = await follow();
      if (closed.signal.aborted) attached.close();
    } catch {
      // It is over, or its engine does not answer, which others are told.
      return;
    }
    yield* attached.output;
  }
  return {
    ready: Promise.resolve(),
    isOpen: () => found !== 'exited' && !closed.signal.aborted,
    output: output(),
    close: () => {
      closed.abort();
      attached?.close();
    },
  };
}

/** False where `signal` cut it short. */
async function pause(ms: number, signal: AbortSignal): Promise<boolean> {
  return sleep(ms, true, { signal }).catch(() => false);
}
