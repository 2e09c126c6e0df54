import { hash, randomUUID } from 'node:crypto';
import { release } from 'node:os';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { OrchestraError } from '#contract/errors.ts';
import { findEngine } from '#setup/engine/find.ts';
import { describeImage } from '#setup/image/description.ts';
import { openIndex } from './audit/index-db.ts';
import { openLog } from './audit/log.ts';
import type { Log } from './audit/types.ts';
import { systemClock } from './base/clock.ts';
import { cutText } from './base/text.ts';
import type { Config } from './config.ts';
import { examine } from './doctor.ts';
import type { EngineFacts } from './engine/engine.ts';
import { openEngine } from './engine/open.ts';
import { openPeerReader } from './http/identity.ts';
import { allRoutes } from './http/routes/index.ts';
import { serve } from './http/server.ts';
import { Lifecycle } from './lifecycle.ts';
import { openPolicyBook } from './policy/book.ts';
import { openPermitOffice } from './policy/permit.ts';
import { findNpm } from './provision/find-npm.ts';
import { readNpmConfig } from './provision/npm-config.ts';
import type { RunsDeps } from './runs/deps.ts';
import { ImagePins, Images } from './runs/images.ts';
import { closeLeftRuns } from './runs/recover.ts';
import { Runs } from './runs/runs.ts';
import { RunStates } from './runs/state.ts';
import { sweepStrays } from './sandbox/sweep.ts';
import { Slots } from './scheduler/slots.ts';
import { openWorkspace } from './workspace/open.ts';

export type Daemon = {
  /** Settles when the log blocks: from then on nothing may run, and the daemon has to end. */
  blocked: Promise<OrchestraError>;
  stop(reason: string): Promise<void>;
};

export type WireOptions = {
  config: Config;
  version: string;
  policiesDir: string;
  logger: Logger;
  env: Readonly<Record<string, string | undefined>>;
  uid: number;
  gid: number;
  /** systemd passed the listening socket. */
  isPassed: boolean;
};

const sandboxId = 1000;
const runsStopMs = 30_000;
const connectionsStopMs = 2_000;

/** Builds everything once, in the order in which each part may rely on the one before. */
export async function startDaemon(options: WireOptions): Promise<Daemon> {
  const { config, version, logger, uid, gid } = options;
  const { stateDir } = config;
  const clock = systemClock();
  const lifecycle = new Lifecycle();
  const states = new RunStates();
  const pins = new ImagePins();
  const auditDir = join(stateDir, 'audit');
  const found = await findEngine({ env: options.env, explicit: config.engine });
  const log = await openLog({
    dir: auditDir,
    version,
    origin: `orchestra/${randomUUID()}`,
    clock,
    onRecord: (record) => {
      lifecycle.fold(record);
      states.fold(record);
      pins.fold(record);
    },
  });
  try {
    const wasClean = lifecycle.wasClean;
    const installId = hash('sha256', log.origin, 'hex').slice(0, 8);
    const sandboxUser = uid === 0 ? { uid: sandboxId, gid: sandboxId } : { uid, gid };
    const mountRoots = ['l', 'snapshots', 'packages'].map((name) => join(stateDir, name));
    const office = openPermitOffice();
    const engine = openEngine({
      host: found.host,
      dir: join(stateDir, 'engine'),
      log,
      office,
      floor: {
        roots: [...mountRoots, join(stateDir, 'engine')],
        secrets: [auditDir, config.socket, join(stateDir, 'blobs')],
      },
    });
    const engineFacts = await engine.facts();
    const runtime = config.runtime ?? engineFacts.defaultRuntime;
    await recordStart(options, log, { engineFacts, lifecycle });
    const swept = await sweepStrays({ engine, log, clock, install: installId });
    const workspace = await openWorkspace({
      stateDir,
      sandboxUid: sandboxUser.uid,
      sandboxGid: sandboxUser.gid,
    });
    const policies = await openPolicyBook({
      log,
      directories: [options.policiesDir, ...(config.policies ? [config.policies] : [])],
      ceiling: config.ceiling,
      standard: config.policy,
    });
    const deps: RunsDeps = {
      stateDir,
      installId,
      version,
      clock,
      logger,
      log,
      states,
      blobs: workspace.blobs,
      workspace,
      engine,
      engineFacts,
      sandbox: { engine, log, clock },
      office,
      policies,
      images: new Images(engine, [describeImage()], pins),
      pins,
      mountRoots,
      npmConfig: await readNpmConfig({ env: options.env, ...findNpm(options.env) }),
      runtime,
      apparmor: engineFacts.apparmor ? 'docker-default' : undefined,
      sandboxUser,
      slots: new Slots(config.tasksAtOnce),
      openRunsMax: config.openRuns,
    };
    const left = await closeLeftRuns(deps);
    if (!wasClean) logger.warn({ swept, left }, 'the last daemon did not stop cleanly');
    const runs = new Runs(deps);
    const index = await openIndex({ dir: auditDir, log });
    const peers = await openPeerReader();
    let isStopping = false;
    const routes = allRoutes({
      runs,
      runsDeps: deps,
      index,
      auditDir,
      settings: config.settings,
      doctor: () => examine(deps, peers),
      isStopping: () => isStopping,
    });
    const server = await serve({ log, logger, peers }, routes, {
      socket: config.socket,
      isPassed: options.isPassed,
    });
    logger.info({ socket: config.socket, engine: found.host, records: log.size }, 'ready');
    const blocked = Promise.withResolvers<OrchestraError>();
    log.onBlocked((error) => blocked.resolve(error));
    return {
      blocked: blocked.promise,
      stop: async (reason) => {
        isStopping = true;
        if (!log.blocked) await log.append({ type: 'daemon.stopping', data: { reason } });
        await runs
          .stop(runsStopMs)
          .catch((error: unknown) => logger.error({ err: error }, 'stopping runs'));
        await server.close(connectionsStopMs);
        if (!log.blocked) {
          await sweepStrays({ engine, log, clock, install: installId });
          await log.append({ type: 'daemon.stopped', data: { runs_open: runs.openCount } });
        }
        await index.close();
        await workspace.close();
        await log.close();
        engine.close();
      },
    };
  } catch (error) {
    await log.close();
    throw error;
  }
}

async function recordStart(
  { config, version, uid }: WireOptions,
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

function settingsOf(config: Config): string {
  const said = config.settings.map(({ name, value, origin }) => `${name}=${value} (${origin})`);
  return cutText(said.join(', '), 4096);
}
