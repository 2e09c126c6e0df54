/**
 * Every system call that the log makes on its files fails once: each in turn, with EIO and with
 * ENOSPC, in a process of its own under strace. After each nothing that was acknowledged is gone,
 * nothing was acknowledged after the fault, and the log opens again and verifies.
 * `node bench/audit-faults.ts [--records 40] [--only fdatasync,write]`
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { filesOfUndisturbed, hasStrace, tryFault } from '#test/support/syscall-faults.ts';

const { values } = parseArgs({
  options: { records: { type: 'string', default: '40' }, only: { type: 'string' } },
});
const syscalls = values.only?.split(',') ?? [
  'openat',
  'write',
  'pwrite64',
  'fdatasync',
  'fsync',
  'ftruncate',
  'fallocate',
  'rename',
  'unlink',
  'chmod',
  'mkdir',
  'read',
  'pread64',
  'close',
];
if (!hasStrace) throw new Error('strace is missing, or not allowed to trace here');

const dir = await mkdtemp(join(tmpdir(), 'orchestra-audit-faults-'));
const table: Record<string, Record<string, number>> = {};
let failures = 0;
try {
  const count = Number(values.records);
  const files = await filesOfUndisturbed(join(dir, 'calm'), count);
  for (const syscall of syscalls) {
    for (const error of ['EIO', 'ENOSPC']) {
      const row = { faults: 0, 'went on': 0, stopped: 0, other: 0, complaints: 0 };
      for (let nth = 1; ; nth += 1) {
        const place = join(dir, `${syscall}-${error}-${nth}`);
        const outcome = await tryFault(place, { syscall, error, nth }, { files, count });
        await rm(place, { recursive: true, force: true });
        if (!outcome.isInjected) break;
        row.faults += 1;
        row[outcome.ended] += 1;
        row.complaints += outcome.complaints.length;
        failures += outcome.complaints.length;
        for (const complaint of outcome.complaints) {
          console.error(`${syscall} ${error} ${nth}: ${complaint}`);
        }
      }
      table[`${syscall} ${error}`] = row;
    }
  }
} finally {
  await rm(dir, { recursive: true, force: true });
}
console.table(table);
const total = Object.values(table).reduce((sum, { faults = 0 }) => sum + faults, 0);
console.log(`${total} faults, ${failures} complaints`);
process.exitCode = failures === 0 ? 0 : 1;
