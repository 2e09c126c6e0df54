import { join } from 'node:path';
import { openLog } from '#daemon/audit/log.ts';
import { tilesTar } from '#daemon/audit/tree/tiles-tar.ts';
import { Trail } from '#daemon/audit/tree/trail.ts';
import { systemClock } from '#daemon/base/clock.ts';
import { noise } from '../unit/audit/fixture.ts';
import { NearSigner } from './signing.ts';
import { tempDir } from './temp-dir.ts';

/** The tar of the tiles of a log of so many records, as a daemon answers it. */
export async function sampleTiles(records: number): Promise<Buffer> {
  await using temp = await tempDir();
  const dir = join(temp.path, 'audit');
  const signer = new NearSigner({ dir: join(temp.path, 'signer') });
  const trail = new Trail({ dir, signer, clock: systemClock() });
  const log = await openLog({
    dir,
    version: '0.0.0',
    origin: 'host/orchestra/tiles',
    reserveBytes: 0,
    tree: trail.tree,
    check: (found) => trail.check(found),
    onBatch: (facts) => trail.grown(facts),
    onRecord: (record) => trail.fold(record),
  });
  await trail.begin(log);
  await log.appendAll(Array.from({ length: records - log.size }, (_, n) => noise(`${n}`)));
  const tar = tilesTar({ log, tree: trail.tree }, await trail.sign());
  const blocks = (await Array.fromAsync(tar)) as Buffer[];
  await trail.close();
  await log.close();
  return Buffer.concat(blocks);
}
