import { openLog } from '#daemon/audit/log.ts';
import { Trail } from '#daemon/audit/tree/trail.ts';
import type { Log } from '#daemon/audit/types.ts';
import { systemClock } from '#daemon/base/clock.ts';
import { NearSigner } from './signing.ts';

/** A log with small segments that is signed every four records, by a signer in this process. */
export async function openSignedLog(dir: string): Promise<{ log: Log; close(): Promise<void> }> {
  const signer = new NearSigner({ dir: `${dir}.signer` });
  const trail = new Trail({ dir, signer, clock: systemClock(), times: { records: 4, pauseMs: 0 } });
  const log = await openLog({
    dir,
    version: '0',
    origin: 'faulty',
    reserveBytes: 0,
    segmentBytes: 6_000,
    tree: trail.tree,
    check: (found) => trail.check(found),
    onBatch: (facts) => trail.grown(facts),
    onRecord: (record) => trail.fold(record),
  });
  await trail.begin(log);
  return {
    log,
    close: async () => {
      await trail.close();
      await log.close();
    },
  };
}
