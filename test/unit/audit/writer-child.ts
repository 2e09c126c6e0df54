/** Appends until it is killed, and says on stdout what was acknowledged. Not a test by itself. */
import { writeSync } from 'node:fs';
import { openLog } from '#daemon/audit/log.ts';

const log = await openLog({
  dir: process.argv[2] ?? '',
  version: '0',
  origin: 'child',
  reserveBytes: 0,
  segmentBytes: 20_000,
});
const caller = async (name: string) => {
  for (let n = 0; ; n += 1) {
    const what = `${name} ${n} ${'x'.repeat(n % 700)}`;
    const { seq } = await log.append({ type: 'daemon.error', data: { code: 'child', what } });
    writeSync(1, `${seq} ${what}\n`);
  }
};
await Promise.all(['a', 'b', 'c', 'd'].map(caller));
