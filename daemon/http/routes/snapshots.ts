import { Digest } from '#contract/ids.ts';
import { noSnapshot } from '../../access/brought.ts';
import type { Routes } from '../app.ts';
import type { RouteDeps } from './deps.ts';

type Part = Pick<Routes, 'snapshotFind' | 'snapshotMissing' | 'snapshotPut'>;

export function snapshotRoutes({ runsDeps, access }: RouteDeps): Part {
  const { snapshots, disk } = runsDeps.workspace;
  return {
    snapshotFind: async ({ param, caller }) => {
      const digest = Digest.parse(param('digest'));
      const found = access.brought.has(caller, digest) ? await snapshots.find(digest) : undefined;
      if (found) return found;
      throw noSnapshot(digest);
    },
    snapshotMissing: async ({ body }) => ({ missing: await snapshots.missing(body.digests) }),
    snapshotPut: async ({ incoming, signal, actor, requestId }) => {
      await disk.space.assert('no snapshot is taken');
      await runsDeps.log.assertRoom();
      const answer = await snapshots.ingest(incoming, signal);
      await runsDeps.log.append({
        type: 'input.copied',
        actor,
        req: requestId,
        data: { snapshot: answer.digest, files: answer.files, bytes: answer.bytes },
      });
      return answer;
    },
  };
}
