import { hash } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { pack } from 'tar-stream';

/** A small bundle of evidence whose manifest names what is in it. */
export async function sampleEvidence(): Promise<Buffer> {
  const csv = 'day,type,records\r\n';
  const manifest = {
    records: 0,
    complete: true,
    tree_size: 14,
    files: { 'population.csv': hash('sha256', csv, 'hex') },
  };
  const tar = pack();
  tar.entry({ name: 'population.csv' }, csv);
  tar.entry({ name: 'manifest.json' }, JSON.stringify(manifest));
  tar.finalize();
  return buffer(tar);
}
