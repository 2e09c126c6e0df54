import { readFileSync } from 'node:fs';
import { randomUUID } from 'node:crypto';

/** What time it is, three ways. A test brings its own; everything else takes the one of `main.ts`. */
export interface Clock {
  /** Wall clock in milliseconds since 1970. May jump. */
  now(): number;
  /** Microseconds of a clock that never goes back while `boot` stays the same. */
  mono(): number;
  /** Names the boot of the machine that `mono` counts from. */
  readonly boot: string;
}

export function systemClock(): Clock {
  return {
    now: () => Date.now(),
    mono: () => Number(process.hrtime.bigint() / 1000n),
    boot: bootId(),
  };
}

// Where the kernel names no boot (not Linux), each process counts as one: `mono` is then compared
// only within the process, which is the weaker but still true statement.
function bootId(): string {
  try {
    const id = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
    if (/^[0-9a-f-]{36}$/.test(id)) return id;
  } catch {
    // Falls through to the id of the process.
  }
  return randomUUID();
}
