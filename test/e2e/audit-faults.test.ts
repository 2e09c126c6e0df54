import { join } from 'node:path';
import { expect, test } from 'vitest';
import { filesOfUndisturbed, hasStrace, tryFault } from '#test/support/syscall-faults.ts';
import { tempDir } from '#test/unit/audit/fixture.ts';

// Some of each kind; `node bench/audit-faults.ts` makes every call fail in turn.
const faults = [
  { syscall: 'write', nths: [1, 3, 9], ended: 'stopped' },
  { syscall: 'fdatasync', nths: [2, 8], ended: 'stopped' },
  { syscall: 'fsync', nths: [2], ended: 'stopped' },
  { syscall: 'openat', nths: [4, 9], ended: 'stopped' },
  { syscall: 'chmod', nths: [4], ended: 'stopped' },
  { syscall: 'ftruncate', nths: [1], ended: 'went on' },
] as const;

test.skipIf(!hasStrace)(
  'whichever system call fails, nothing acknowledged is lost and nothing happens after it',
  async () => {
    await using temp = await tempDir();
    const count = 12;
    const files = await filesOfUndisturbed(join(temp.path, 'calm'), count);
    for (const { syscall, nths, ended } of faults) {
      for (const nth of nths) {
        const error = nth % 2 === 0 ? 'ENOSPC' : 'EIO';
        const dir = join(temp.path, `${syscall}-${nth}`);
        const outcome = await tryFault(dir, { syscall, error, nth }, { files, count });
        expect(outcome).toMatchObject({ isInjected: true, ended, complaints: [] });
      }
    }
  },
  120_000,
);
