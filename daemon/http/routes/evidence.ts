import { join } from 'node:path';
import { OrchestraError } from '#contract/errors.ts';
import { Attester } from '../../audit/attest.ts';
import { Evidence } from '../../audit/evidence/evidence.ts';
import type { Routes } from '../app.ts';
import { sendBytes } from '../send-bytes.ts';
import type { RouteDeps } from './deps.ts';

type Part = Pick<Routes, 'auditEvidence'>;

export function evidenceRoutes(deps: RouteDeps): Part {
  const { runsDeps, index, auditDir, checkpoints, logPruner } = deps;
  const { log, version, clock, stateDir } = runsDeps;
  const evidence =
    checkpoints &&
    new Evidence({
      dir: auditDir,
      log,
      index,
      checkpoints,
      attester: new Attester({ log, version, keyFile: join(stateDir, 'keys', 'report.key') }),
      pruned: () => logPruner?.pruned,
      version,
      now: () => clock.now(),
    });
  return {
    auditEvidence: async ({ query, actor, outgoing }) => {
      if (evidence === undefined) {
        throw new OrchestraError('audit.unsigned', 'This log is signed by nobody');
      }
      const time = { from: Date.parse(query.from), to: Date.parse(query.to) };
      const tar = await evidence.make(time, actor);
      return sendBytes(outgoing, tar, { 'content-type': 'application/x-tar' });
    },
  };
}
