import type { Routes } from '../app.ts';
import { accessRoutes } from './access.ts';
import { anchoringRoutes } from './anchoring.ts';
import { artifactRoutes } from './artifacts.ts';
import { attestationRoutes } from './attestations.ts';
import { auditRoutes } from './audit.ts';
import { auditExportRoutes } from './audit-exports.ts';
import { checkpointRoutes } from './checkpoints.ts';
import type { RouteDeps } from './deps.ts';
import { tellingOfPruned } from './pruned.ts';
import { evidenceRoutes } from './evidence.ts';
import { learningRoutes } from './learning.ts';
import { policyRoutes } from './policies.ts';
import { policyToolRoutes } from './policy-tools.ts';
import { provenanceRoutes } from './provenance.ts';
import { retentionRoutes } from './retention.ts';
import { requestRoutes } from './requests.ts';
import { runRoutes } from './runs.ts';
import { secretRoutes } from './secrets.ts';
import { snapshotRoutes } from './snapshots.ts';
import { storeRoutes } from './store.ts';
import { systemRoutes } from './system.ts';
import { toolRoutes } from './tools.ts';
import { tokenRoutes } from './tokens.ts';
import { vaultRoutes } from './vault.ts';

/** Every row of the endpoint table; one that is missing here does not compile. */
export function allRoutes(deps: RouteDeps): Routes {
  const routes: Routes = {
    ...systemRoutes(deps),
    ...accessRoutes(deps),
    ...snapshotRoutes(deps),
    ...runRoutes(deps),
    ...artifactRoutes(deps),
    ...auditRoutes(deps),
    ...auditExportRoutes(deps),
    ...anchoringRoutes(deps),
    ...checkpointRoutes(deps),
    ...attestationRoutes(deps),
    ...policyRoutes(deps),
    ...policyToolRoutes(deps),
    ...provenanceRoutes(deps),
    ...requestRoutes(deps),
    ...secretRoutes(deps),
    ...storeRoutes(deps),
    ...toolRoutes(deps),
    ...retentionRoutes(deps),
    ...evidenceRoutes(deps),
    ...vaultRoutes(deps),
    ...tokenRoutes(deps),
    ...learningRoutes(deps),
  };
  return tellingOfPruned(routes, deps);
}
