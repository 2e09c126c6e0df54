import type { Logger } from 'pino';
import type { BlobStore } from '../artifacts/blobs.ts';
import type { Anchoring } from '../audit/anchoring/anchoring.ts';
import type { Trail } from '../audit/tree/trail.ts';
import type { Log } from '../audit/types.ts';
import type { Vault } from '../audit/vault/vault.ts';
import type { Accounts } from '../access/accounts.ts';
import type { Quotas } from '../access/quotas.ts';
import type { Clock } from '../base/clock.ts';
import type { Engine, EngineFacts } from '../engine/engine.ts';
import type { LayersWay } from '../engine/sight.ts';
import type { NpmConfig } from '../provision/npm-config.ts';
import type { Learning } from '../planner/learning/learning.ts';
import type { Planners } from '../planner/models/planners.ts';
import type { PolicyBook } from '../policy/book.ts';
import type { PermitOffice } from '../policy/permit.ts';
import type { Walls } from '../policy/walls.ts';
import type { SandboxDeps } from '../sandbox/sandbox.ts';
import type { SecretStore } from '../secrets/store.ts';
import type { Capacity } from '../scheduler/capacity.ts';
import type { Demands } from '../scheduler/demands.ts';
import type { Durations } from '../scheduler/durations.ts';
import type { Workspace } from '../workspace/open.ts';
import type { ActionCache } from './cache/actions.ts';
import type { Flights } from './cache/flights.ts';
import type { CheckpointSigner } from './checkpoint-signer.ts';
import type { EngineWatch } from './engine-loss.ts';
import type { Circuits } from './failures/circuits.ts';
import type { ActionHistory } from './failures/action-history.ts';
import type { ImagePins, Images } from './images.ts';
import type { PrunedRuns } from './prune/pruned-runs.ts';
import type { Pruner } from './prune/pruner.ts';
import type { Provenance } from './provenance/provenance.ts';
import type { Requests } from './requests/requests.ts';
import type { RunStates } from './state.ts';
import type { Tools } from './tools/tools.ts';

/** What the story of a run needs from the rooms below; made once, in `main.ts`. */
export type RunsDeps = {
  stateDir: string;
  /** Which daemon's containers these are, where several share an engine. */
  installId: string;
  version: string;
  clock: Clock;
  logger: Logger;
  log: Log;
  /** What was signed of the log. */
  trail: Trail;
  /** Who else holds what is signed. */
  anchoring: Anchoring;
  /** What people said and who they are, beside the log and erasable. */
  vault: Vault;
  states: RunStates;
  /** Runs of which only the records are left, and whoever sees to it. */
  pruned: PrunedRuns;
  pruner: Pruner;
  /** What runs ask people. */
  requests: Requests;
  blobs: BlobStore;
  workspace: Workspace;
  engine: Engine;
  engineFacts: EngineFacts;
  engineWatch: EngineWatch;
  sandbox: SandboxDeps;
  office: PermitOffice;
  policies: PolicyBook;
  /** The users and groups of this machine. */
  accounts: Accounts;
  /** Who makes plans of words. */
  planners: Planners;
  secrets: SecretStore;
  images: Images;
  pins: ImagePins;
  /** What images have in their PATH, and which of it whose tasks may have unasked. */
  tools: Tools;
  /** How layers get to sandboxes. */
  layersWay: LayersWay;
  /** The daemon's directories that a mount may come from. */
  mountRoots: readonly string[];
  /** Which registries npm is configured with on this machine; read once, at start. */
  npmConfig: NpmConfig;
  /** The operator's choice for every task; without one the policy's list decides. */
  runtime: string | undefined;
  walls: Walls;
  /** Of the seccomp profile in `walls`, parsed once. */
  refusesByDefault: (json: string) => boolean;
  /** The security modules of the kernel under the sandboxes. */
  lsm: readonly string[];
  sandboxUser: { uid: number; gid: number };
  /** What the machine has for the tasks of all runs. */
  slots: Capacity;
  /** What tasks took before, which says what they will take. */
  durations: Durations;
  /** What earlier runs teach: it chooses and warns, and allows nothing. */
  learning: Learning;
  demands: Demands;
  /** What was done already, and by which run. */
  actions: ActionCache;
  flights: Flights;
  /** Which actions passed and failed by themselves. */
  flaky: ActionHistory;
  circuits: Circuits;
  /** Signs checkpoints, and knows whose may be gone on from. */
  signer: CheckpointSigner;
  /** Says how artifacts came to be, once a run is closed. */
  provenance: Provenance;
  /** How much of what there is for somebody is left. */
  quotas: Quotas;
  /** Every run is autonomous, whether somebody asks for it or not. */
  autonomous: boolean;
  /** How many runs may be open at once; more are refused with `daemon.busy`. */
  openRunsMax: number;
};
