import { join } from 'node:path';
import { expect, test } from 'vitest';
import { filesOfUndisturbed, hasStrace, tryFault } from '#test/support/syscall-faults.ts';
import { tempDir } from '#test/unit/audit/fixture.ts';

// Some of each kind; `node bench/audit-faults.ts` makes every call fail in turn.
const faults = [
  { syscall: 'write', nths: [1, 3, 9, 14] },
  { syscall: 'fdatasync', nths: [2, 8] },
  { syscall: 'fsync', nths: [2] },
  { syscall: 'openat', nths: [4, 9] },
  { syscall: 'rename', nths: [1] },
  { syscall: 'ftruncate', nths: [1] },
] as const;

test.skipIf(!hasStrace)(
  'whichever system call fails, nothing acknowledged is lost and nothing happens after it',
  async () => {
    await using temp = await tempDir();
    const count = 12;
    const files = await filesOfUndisturbed(join(temp.path, 'calm'), count);
    const ends: string[] = [];
    for (const { syscall, nths } of faults) {
      for (const nth of nths) {
        const error = nth % 2 === 0 ? 'ENOSPC' : 'EIO';
        const dir = join(temp.path, `${syscall}-${nth}`);
        const outcome = await tryFault(dir, { syscall, error, nth }, { files, count });
        expect(outcome).toMatchObject({ isInjected: true, complaints: [] });
        ends.push(outcome.ended);
      }
    }
    // What is derived can be made again; what is the log itself ends with its first fault.
    expect(new Set(ends)).toEqual(new Set(['stopped', 'went on']));
  },
  120_000,
);
