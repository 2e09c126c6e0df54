import { OrchestraError } from '#contract/errors.ts';
import type { LogPruner } from '../../audit/retention/log-pruner.ts';
import type { Routes } from '../app.ts';
import type { RouteDeps } from './deps.ts';

type Part = Pick<Routes, 'auditPrune' | 'auditHolds' | 'auditHoldSet' | 'auditHoldClear'>;

export function retentionRoutes({ logPruner }: RouteDeps): Part {
  const pruner = (): LogPruner => {
    if (logPruner !== undefined) return logPruner;
    throw new OrchestraError(
      'audit.unsigned',
      'This log is signed by nobody, so nothing of it goes',
    );
  };
  return {
    auditPrune: ({ body, actor }) => pruner().prune(body, actor),
    auditHolds: () => Promise.resolve({ items: pruner().holds }),
    auditHoldSet: async ({ body, actor }) => {
      await pruner().setHold(body, actor);
      return { items: pruner().holds };
    },
    auditHoldClear: async ({ body, actor }) => {
      await pruner().clearHold(body, actor);
      return { items: pruner().holds };
    },
  };
}
