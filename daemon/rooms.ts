import { hash, randomUUID } from 'node:crypto';
import { rmSync } from 'node:fs';
import { hostname, release } from 'node:os';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { OrchestraError } from '#contract/errors.ts';
import { describeImage } from '#setup/image/description.ts';
import { Brought } from './access/brought.ts';
import { ownerOf } from './access/caller.ts';
import { openAccess, type Access } from './access/open.ts';
import { Quotas } from './access/quotas.ts';
import { Refusals } from './access/refusals.ts';
import { Usage } from './access/usage.ts';
import { Tokens } from './access/tokens.ts';
import { Anchoring } from './audit/anchoring/anchoring.ts';
import { AnchorLedger } from './audit/anchoring/ledger.ts';
import type { LogOptions } from './audit/log.ts';
import { LogPruner, RetentionFolds } from './audit/retention/log-pruner.ts';
import type { SignerPort } from './audit/tree/signer-port.ts';
import { Trail, type TrailTimes } from './audit/tree/trail.ts';
import type { Need } from './audit/retention/plan.ts';
import type { Log } from './audit/types.ts';
import { Erasures, Vault } from './audit/vault/vault.ts';
import { systemClock } from './base/clock.ts';
import { rememberLast } from './base/remember-last.ts';
import { cutText } from './base/text.ts';
import type { Config } from './config.ts';
import type { Engine, EngineFacts } from './engine/engine.ts';
import { kernelModules } from './engine/kernel-modules.ts';
import { seccompJudge } from './engine/floor.ts';
import type { EngineParts } from './engine/open.ts';
import { onThisMachine } from './engine/users.ts';
import type { LayersWay } from './engine/sight.ts';
import type { Machine } from './engine/machine.ts';
import { refuseEscapes } from './escapes.ts';
import { Lifecycle } from './lifecycle.ts';
import { Learning } from './planner/learning/learning.ts';
import { Planners } from './planner/models/planners.ts';
import { SpentToday } from './planner/models/spent-today.ts';
import { openPolicyBook } from './policy/book.ts';
import { assertInvariants } from './policy/invariants/check.ts';
import { refusesByDefault } from './policy/rules/confinement.ts';
import { openPermitOffice } from './policy/permit.ts';
import { findWalls } from './walls.ts';
import { findNpm } from './provision/find-npm.ts';
import { readNpmConfig } from './provision/npm-config.ts';
import type { RunsDeps } from './runs/deps.ts';
import { labelNames } from './engine/labels.ts';
import { EngineWatch } from './runs/engine-loss.ts';
import { layersInUse, leftRunning } from './runs/take-over.ts';
import { Circuits } from './runs/failures/circuits.ts';
import { ActionHistory } from './runs/failures/action-history.ts';
import { tellComponents } from './runs/failures/tell-components.ts';
import { ImagePins, Images } from './runs/images.ts';
import { ActionCache } from './runs/cache/actions.ts';
import { Flights } from './runs/cache/flights.ts';
import { CheckpointSigner } from './runs/checkpoint-signer.ts';
import { learnFromPast } from './runs/learn-from.ts';
import { clearOutput } from './runs/left-output.ts';
import { BackgroundPruning } from './runs/prune/background.ts';
import { Attested } from './runs/provenance/attested.ts';
import { Provenance } from './runs/provenance/provenance.ts';
import { logNeeds } from './runs/prune/log-needs.ts';
import { PrunedRuns } from './runs/prune/pruned-runs.ts';
import { Pruner } from './runs/prune/pruner.ts';
import { Requests } from './runs/requests/requests.ts';
import { RequestStates } from './runs/requests/state.ts';
import { Runs } from './runs/runs.ts';
import { settleOutput } from './runs/settle-output.ts';
import { RunStates } from './runs/state.ts';
import { Advertisements } from './runs/tools/advertisements.ts';
import { AllowedTools } from './runs/tools/allowed.ts';
import { Tools } from './runs/tools/tools.ts';
import { ReadySlots, slotSettings } from './sandbox/ready-slots.ts';
import { rememberLeft } from './sandbox/left-behind.ts';
import { sweepStrays } from './sandbox/sweep.ts';
import { openSecretStore } from './secrets/store.ts';
import { Capacity } from './scheduler/capacity.ts';
import { Demands } from './scheduler/demands.ts';
import { Durations } from './scheduler/durations.ts';
import { openWorkspace, type Workspace } from './workspace/open.ts';
import type { Threads } from './workspace/threads.ts';

export type RoomOptions = {
  config: Config;
  version: string;
  policiesDir: string;
  logger: Logger;
  env: Readonly<Record<string, string | undefined>>;
  uid: number;
  gid: number;
  openLog(options: LogOptions): Promise<Log>;
  /** Who signs the log; let go by the rooms. */
  openSigner(): SignerPort;
  trailTimes?: Partial<TrailTimes>;
  /** The guarded engine; nobody here ever holds another one. */
  openEngine(parts: Omit<EngineParts, 'host'>): Engine;
  /** What this machine has to offer beyond the engine; nothing if left out. */
  openMachine?: (installId: string) => Promise<Machine>;
  /** How layers get to the sandboxes of the engine; mounted if left out. */
  findWay?: (dir: string) => Promise<LayersWay>;
  /** File threads that others use as well; some of its own if left out. */
  threads?: Threads;
};

/** Everything below the edge, ready: what the last daemon left is swept and closed. */
export type Rooms = {
  deps: RunsDeps;
  runs: Runs;
  access: Access & { usage: Usage; brought: Brought; refusals: Refusals };
  tokens: Tokens;
  auditDir: string;
  /** To be started once everything else is ready. */
  pruning: BackgroundPruning;
  /** Lets the oldest part of the log go. */
  logPruner: LogPruner;
  /** In this order: first no run goes on, then the end is on record, then everything is let go. */
  endRuns(reason: string, how?: { leave?: boolean }): Promise<void>;
  recordEnd(): Promise<void>;
  /** In place of all of that: nothing ends, and the process must, at once. */
  recordHandOver(reason: string): Promise<void>;
  close(): Promise<void>;
};

const sandboxId = 1000;
const runsStopMs = 30_000;

/** Builds the rooms once, in the order in which each may rely on the one before. */
export async function openRooms(options: RoomOptions): Promise<Rooms> {
  const { config, version, logger, uid, gid } = options;
  const { stateDir } = config;
  const clock = systemClock();
  const access = await openAccess({
    settings: config.access,
    ownUid: uid,
    now: () => clock.mono() / 1000,
  });
  const lifecycle = new Lifecycle();
  const states = new RunStates();
  const pins = new ImagePins();
  const tokens = new Tokens();
  const allowed = new AllowedTools();
  const advertisements = new Advertisements();
  const actions = new ActionCache();
  const flaky = new ActionHistory();
  const pruned = new PrunedRuns();
  const asked = new RequestStates();
  const learning = new Learning(ownerOf);
  const usage = new Usage();
  const brought = new Brought();
  const attested = new Attested();
  const spent = new SpentToday();
  const erasures = new Erasures();
  const retention = new RetentionFolds();
  const anchored = new AnchorLedger(config.anchoring);
  const auditDir = join(stateDir, 'audit');
  const secretsDir = config.secretsDir ?? join(stateDir, 'secrets');
  await using opened = new AsyncDisposableStack();
  const trail = new Trail({
    dir: auditDir,
    signer: options.openSigner(),
    clock,
    times: options.trailTimes,
    onTrouble: (what, error) => logger.error({ err: error }, what),
  });
  const unsigned = opened.adopt(trail, (one) => one.close());
  const log = await options.openLog({
    dir: auditDir,
    version,
    origin: newOrigin(),
    clock,
    tree: trail.tree,
    check: (found) => trail.check(found),
    onBatch: (facts) => trail.grown(facts),
    onRecord: (record) => {
      trail.fold(record);
      lifecycle.fold(record);
      states.fold(record);
      pins.fold(record);
      tokens.fold(record);
      allowed.fold(record);
      advertisements.fold(record);
      actions.fold(record);
      flaky.fold(record);
      pruned.fold(record);
      retention.fold(record);
      anchored.fold(record);
      attested.fold(record);
      spent.fold(record);
      erasures.fold(record);
      usage.fold(record);
      brought.fold(record);
      asked.fold(record);
      learning.fold(record);
    },
  });
  opened.defer(() => log.close());
  // Before the log closes: the last records are signed as well.
  opened.defer(() => unsigned.close());
  await trail.begin(log);
  const refusals = opened.use(new Refusals({ log }));
  const quotas = await Quotas.open({
    settings: config.quotas,
    accounts: access.accounts,
    usage,
    refusals,
    now: () => clock.now(),
  });
  const anchoring = new Anchoring({
    log,
    checkpoints: trail,
    ledger: anchored,
    settings: config.anchoring,
    clock,
    logger,
    home: options.env['HOME'] ?? '/',
  });
  opened.defer(() => anchoring.close());
  const wasClean = lifecycle.wasClean;
  const heldBy = () => retention.holds.all()[0]?.name;
  const vault = await Vault.open({ stateDir, erasures, heldBy }, log);
  opened.defer(() => vault.close());
  await vault.sweep(() => states.commitments().union(asked.commitments()));
  const installId = hash('sha256', log.origin, 'hex').slice(0, 8);
  const sandboxUser = uid === 0 ? { uid: sandboxId, gid: sandboxId } : { uid, gid };
  const mountRoots = ['l', 'snapshots', 'flat', 'packages'].map((name) => join(stateDir, name));
  const office = openPermitOffice();
  const { kernel, doors, files } = (await options.openMachine?.(installId)) ?? {};
  if (files) opened.defer(() => rmSync(files, { recursive: true, force: true }));
  if (doors) {
    mountRoots.push(doors.root);
    opened.defer(() => doors.dispose());
  }
  const layersWay =
    config.layers ?? (await options.findWay?.(join(stateDir, 'engine'))) ?? 'mounts';
  const guarded = options.openEngine({
    layers: layersWay,
    dir: join(stateDir, 'engine'),
    log,
    office,
    kernel,
    doors,
    files,
    floor: {
      roots: mountRoots,
      judgeSeccomp: seccompJudge(),
      secrets: [
        auditDir,
        config.socket,
        secretsDir,
        ...['blobs', 'keys', 'vault'].map((name) => join(stateDir, name)),
      ],
    },
  });
  opened.defer(() => guarded.close());
  const left = rememberLeft(guarded, { log });
  opened.defer(() => left.close());
  const { engine } = left;
  const engineFacts = await engine.facts();
  if (layersWay === 'streams') assertStreams(engineFacts);
  const walls = await findWalls(engineFacts, options.policiesDir);
  await recordStart(options, log, { engineFacts, lifecycle });
  await refuseEscapes(engineFacts.components ?? [], config.acceptedEscapes, log);
  // Of what an earlier daemon left, what still is at work for an open run; the rest goes now.
  const atWork = new Set(
    log
      .openRuns()
      .flatMap((id) => leftRunning(states.find(id)).map((left) => left.released.container)),
  );
  const containers =
    atWork.size === 0 ? [] : await engine.list({ [labelNames.install]: installId });
  const inUse = new Set(containers.flatMap(({ id, name }) => (atWork.has(id) ? [name] : [])));
  const swept = await sweepStrays({ engine, log, clock, install: installId, inUse });
  const owner = onThisMachine(sandboxUser, engineFacts);
  const workspace = await openWorkspace({
    stateDir,
    sandboxUid: owner.uid,
    sandboxGid: owner.gid,
    marks: config.disk,
    inUse: (blobs) => layersInUse({ states, open: log.openRuns() }, blobs),
    ...(options.threads === undefined ? {} : { threads: options.threads }),
  });
  opened.defer(() => workspace.close());
  await recordSwept(log, workspace);
  const { store } = workspace;
  const pruner = new Pruner({
    log,
    states,
    pruned,
    store,
    clock,
    logger,
    settings: config.keep,
    alsoOf: (run) => attested.bundleOf(run),
  });
  workspace.disk.space.reclaim = () => pruner.makeRoom();
  const policies = await openPolicyBook({
    log,
    directories: [options.policiesDir, ...(config.policies ? [config.policies] : [])],
    ceiling: config.ceiling,
    standard: config.policy,
    check: (documents, judge) => assertInvariants(judge, documents),
  });
  const slots = new ReadySlots({
    engine,
    // What Podman binds so that mounts arrive, it also makes the whole sandbox follow.
    doors: engineFacts.kind === 'docker' && layersWay === 'mounts' ? doors : undefined,
    send: (request) => workspace.layers.send(request),
    ...slotSettings(config.slotsReady),
  });
  opened.defer(() => slots.close());
  const secrets = await openSecretStore({
    log,
    directory: secretsDir,
    uid,
    isForeign: config.secretsDir !== undefined,
  });
  const totals = {
    tasks: config.tasksAtOnce,
    // As `tasks_at_once` has it: two of them keep one processor busy.
    cpuMilli: engineFacts.cpus * 2000,
    memoryBytes: Math.floor(engineFacts.memoryBytes * 0.8),
  };
  const circuits = new Circuits({
    clock,
    tell: tellComponents(log),
  });
  const signer = new CheckpointSigner(join(stateDir, 'keys', 'report.key'), config.trustedKeys);
  const sandbox = { engine, slots, log, clock, disk: workspace.disk };
  const judging = {
    pins,
    engineFacts,
    runtime: config.runtime,
    walls,
    refusesByDefault: rememberLast(refusesByDefault),
    lsm: await kernelModules(engineFacts),
    mountRoots,
    sandboxUser,
  };
  const { blobs } = workspace;
  const tools = new Tools({
    ...judging,
    installId,
    log,
    office,
    sandbox,
    blobs,
    clock,
    allowed,
    advertisements,
    ceiling: () => policies.get(config.ceiling).policy,
  });
  const requests = new Requests({
    log,
    states: asked,
    blobs,
    vault,
    clock,
    logger,
    allowed,
  });
  opened.defer(() => requests.close());
  const deps: RunsDeps = {
    requests,
    stateDir,
    installId,
    version,
    clock,
    logger,
    log,
    trail,
    anchoring,
    vault,
    states,
    pruned,
    pruner,
    blobs,
    workspace,
    engine,
    ...judging,
    engineWatch: new EngineWatch(engine),
    sandbox,
    office,
    policies,
    accounts: access.accounts,
    planners: new Planners({
      settings: config.planners,
      withinMs: config.planWithinMs,
      keys: { uid, credentials: options.env['CREDENTIALS_DIRECTORY'] },
      clock,
      log,
      spent,
    }),
    secrets,
    images: new Images(engine, [describeImage()], pins),
    tools,
    layersWay,
    npmConfig: await readNpmConfig({ env: options.env, ...findNpm(options.env) }),
    slots: new Capacity(totals),
    durations: new Durations(),
    learning,
    demands: new Demands(totals),
    actions,
    flights: new Flights(),
    flaky,
    circuits,
    signer,
    provenance: new Provenance({
      log,
      blobs,
      attested,
      rootAt: (size) => trail.tree.rootAt(size),
      key: () => signer.key(),
      logger,
    }),
    quotas,
    autonomous: config.autonomous,
    openRunsMax: config.openRuns,
  };
  const runs = new Runs(deps);
  await clearOutput(stateDir, log.openRuns());
  const sweep = (names?: ReadonlySet<string>) =>
    sweepStrays({ engine, log, clock, install: installId, ...(names ? { inUse: names } : {}) });
  await requests.begin();
  const open = await runs.recover(async (taken) => {
    // What nobody took over is nobody's; then nobody looks through its doors any more.
    if (inUse.size > 0) await sweep(taken);
    await doors?.clear();
  });
  if (!wasClean) logger.warn({ swept, left: open }, 'the last daemon did not stop cleanly');
  const pruning = new BackgroundPruning({
    pruner,
    lastAt: pruned.lastAt ?? firstRunAt(states) ?? clock.now(),
    openRuns: () => runs.openCount,
    now: () => clock.now(),
    logger,
  });
  const logPruner = new LogPruner({
    dir: auditDir,
    log,
    checkpoints: trail,
    folds: retention,
    needs: () => [
      ...logNeeds({ log, states, pruned, startedSeq: () => lifecycle.startedSeq }),
      ...unheld(config.anchoring, anchored),
    ],
    clock,
    keepDays: config.audit.keepDays,
  });
  const looking = new AbortController();
  opened.defer(() => looking.abort());
  void learnFromPast(deps, looking.signal);
  anchoring.start();
  const kept = opened.move();
  return {
    deps,
    runs,
    access: { ...access, usage, brought, refusals },
    tokens,
    auditDir,
    pruning,
    logPruner,
    endRuns: async (reason, { leave = false } = {}) => {
      pruning[Symbol.dispose]();
      await tools.close();
      await pruner.close();
      await logPruner.close();
      await recordStopping(log, reason);
      await runs
        .stop(runsStopMs, { leave })
        .catch((error: unknown) => logger.error({ err: error }, 'stopping runs'));
    },
    recordEnd: async () => {
      if (log.blocked) return;
      await slots.close();
      // An engine that does not answer keeps nobody from stopping: the next start sweeps.
      await sweep().catch((error: unknown) => logger.error({ err: error }, 'sweeping'));
      await anchoring.close();
      await recordStopped(log);
    },
    recordHandOver: async (reason) => {
      await recordStopping(log, reason);
      await recordStopped(log);
      await settleOutput(() => runs.openOutputs);
    },
    close: () => kept.disposeAsync(),
  };
}

/** What Podman made is read from its own directory, so it has to be here anyway. */
function assertStreams({ kind }: EngineFacts): void {
  if (kind !== 'podman') return;
  throw new OrchestraError('engine.not_connected', 'Podman does not see the disk of this daemon', {
    hint: 'run orchestrad on the machine of its Podman, or use Docker there',
  });
}

/** Who keeps a new log, as its checkpoints will name it: of letters that a note takes in a name. */
function newOrigin(): string {
  const host = hostname()
    .replaceAll(/[^A-Za-z0-9.-]+/g, '-')
    .slice(0, 64);
  return `${host === '' ? 'localhost' : host}/orchestra/${randomUUID()}`;
}

/** Where others are to hold the log, nothing goes that they do not hold. */
function unheld({ hooks, witnesses }: Config['anchoring'], { anchored }: AnchorLedger): Need[] {
  if (hooks.length + witnesses.length === 0) return [];
  return [{ from: anchored, what: 'no anchor and too few witnesses hold what follows' }];
}

function firstRunAt(states: RunStates): number | undefined {
  const [first] = states.all();
  return first && Date.parse(first.submittedAt);
}

async function recordStart(
  { config, version, uid }: RoomOptions,
  log: Log,
  { engineFacts, lifecycle }: { engineFacts: EngineFacts; lifecycle: Lifecycle },
): Promise<void> {
  const { wasClean, lastBoot } = lifecycle;
  await log.append({
    type: 'daemon.started',
    data: {
      version,
      node: process.version,
      kernel: cutText(release(), 256),
      uid,
      pid: process.pid,
      config: config.digest,
      clean_stop: wasClean,
      engine: engineFacts.kind,
      engine_version: cutText(engineFacts.version, 128),
      socket: cutText(config.socket, 256),
    },
  });
  if (!wasClean) {
    await log.append({
      type: 'daemon.crashed',
      outcome: 'failed',
      sev: 'warn',
      data: { last_boot: cutText(lastBoot, 64), runs_open: log.openRuns().length },
    });
  }
  await log.append({
    type: 'config.loaded',
    data: { config: config.digest, source: settingsOf(config) },
  });
}

async function recordStopping(log: Log, reason: string): Promise<void> {
  if (!log.blocked) await log.append({ type: 'daemon.stopping', data: { reason } });
}

async function recordStopped(log: Log): Promise<void> {
  if (log.blocked) return;
  await log.append({ type: 'daemon.stopped', data: { runs_open: log.openRuns().length } });
}

async function recordSwept(log: Log, { swept }: Workspace): Promise<void> {
  const all = Object.entries(swept).filter(([, entries]) => entries > 0);
  for (const [what, entries] of all) {
    await log.append({ type: 'workspace.cleaned', data: { what, entries } });
  }
}

function settingsOf(config: Config): string {
  const said = config.settings.map(({ name, value, origin }) => `${name}=${value} (${origin})`);
  return cutText(said.join(', '), 4096);
}
