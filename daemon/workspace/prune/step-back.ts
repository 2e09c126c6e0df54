import { setPriority } from 'node:os';

const niceMost = 19;

/** Lets everybody else go before this thread, for good: on Linux it is threads that have a priority. */
export function stepBack(): void {
  try {
    setPriority(niceMost);
  } catch {
    // As quick as everybody else then.
  }
}
