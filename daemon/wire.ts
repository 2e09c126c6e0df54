import { hostname } from 'node:os';
import type { OrchestraError } from '#contract/errors.ts';
import { findEngine } from '#setup/engine/find.ts';
import { checksOf, openForwarders } from './audit/forward/forwarders.ts';
import { openIndex } from './audit/index-db.ts';
import { openLog } from './audit/log.ts';
import { BackgroundVerify, lastVerifiedAt } from './audit/verify/background.ts';
import { pruneDaily } from './audit/retention/daily.ts';
import { examine } from './doctor.ts';
import { openSigner } from './audit/tree/open-signer.ts';
import { openMachine } from './engine/machine.ts';
import { layersWay, openEngine } from './engine/open.ts';
import { Callers } from './access/callers.ts';
import { socketReaders } from './http/readers.ts';
import { allRoutes } from './http/routes/index.ts';
import { serve } from './http/server.ts';
import { checkCertificates } from './http/tcp-check.ts';
import { openNetwork, openOffice } from './network.ts';
import { openRooms, type RoomOptions } from './rooms.ts';

export type Daemon = {
  /** Settles when the log blocks: from then on nothing may run, and the daemon has to end. */
  blocked: Promise<OrchestraError>;
  /** With `leave` open runs stay open, and the next daemon goes on with them. */
  stop(reason: string, how?: { leave?: boolean }): Promise<void>;
  /**
   * Makes room for the next daemon, to which everything that runs is left as it is. The process has
   * to end as soon as this resolves, or it would act on what is no longer its own.
   */
  handOver(reason: string): Promise<void>;
  /**
   * Reads policies and certificates again and says in a line what changed; where a policy is not in
   * order it throws, and the ones before stay in force.
   */
  reload(): Promise<string>;
  /** A sign of life: asks the scheduler for a pass, says in a line how things are, or throws. */
  beat(): string;
};

export type WireOptions = Omit<
  RoomOptions,
  'openLog' | 'openSigner' | 'openEngine' | 'openMachine' | 'findWay'
> & {
  /** What Node runs as the signer. */
  signerProgram: string;
  /** systemd passed the listening socket. */
  isPassed: boolean;
};

const connectionsStopMs = 2_000;
const handOverMs = 300;
const forwardersStopMs = 2_000;

/** The rooms on a real engine and a real disk, and the edge in front of them. */
export async function startDaemon(options: WireOptions): Promise<Daemon> {
  const { config, logger } = options;
  const { host } = await findEngine({ env: options.env, explicit: config.engine });
  const rooms = await openRooms({
    ...options,
    openLog,
    openSigner: () =>
      openSigner({
        socket: config.signer,
        stateDir: config.stateDir,
        program: options.signerProgram,
        onTrouble: (line) => logger.warn({ signer: line.trim() }, 'the signer says'),
      }),
    openEngine: (parts) => openEngine({ host, ...parts }),
    findWay: async (dir) => layersWay(host, dir),
    openMachine: async (installId) =>
      openMachine({ installId, stateDir: config.stateDir, env: options.env }),
  });
  const { deps, runs, auditDir } = rooms;
  const { log } = deps;
  // What a start that fails has opened already; nothing of it may keep the process alive.
  const opened = new AsyncDisposableStack();
  opened.defer(() => rooms.close());
  try {
    const index = await openIndex({ dir: auditDir, log });
    opened.defer(() => index.close());
    const forwarders = await openForwarders({
      log,
      dir: auditDir,
      settings: config.forward,
      host: hostname(),
      version: options.version,
      now: () => deps.clock.now(),
      onFailure: (name, error) => logger.warn({ forwarder: name, err: error }, 'forwarding failed'),
    });
    opened.defer(() => forwarders.close(forwardersStopMs));
    const { access, tokens } = rooms;
    const { refusals } = access;
    const readers = await socketReaders({
      ...access,
      socket: config.socket,
      now: () => deps.clock.mono() / 1000,
      proof: config.identity,
    });
    let isStopping = false;
    const routes = allRoutes({
      runs,
      runsDeps: deps,
      index,
      auditDir,
      checkpoints: deps.trail,
      anchoring: deps.anchoring,
      logPruner: rooms.logPruner,
      access,
      readers,
      settings: config.settings,
      forwarders,
      tokens: openOffice(config, { log, access, tokens, clock: deps.clock }),
      doctor: async () => [
        ...(await examine(deps, readers)),
        ...checksOf(await forwarders.status()),
        ...(await checkCertificates(config.listen, deps.clock.now())),
      ],
      isStopping: () => isStopping,
    });
    const edge = {
      log,
      logger,
      refusals,
      callers: new Callers({ readers, roles: access.roles, vault: deps.vault }),
      findRun: runs.find.bind(runs),
      isRun: (id: string) => deps.states.find(id) !== undefined,
    };
    const server = await serve(edge, routes, {
      socket: config.socket,
      isPassed: options.isPassed,
    });
    opened.defer(() => server.close(connectionsStopMs));
    const { clock, vault } = deps;
    const parts = { config, access, tokens, refusals, clock, vault, edge, routes };
    const network = await openNetwork(parts);
    opened.defer(() => network.close(connectionsStopMs));
    logger.info(
      { socket: config.socket, listen: network.urls, engine: host, records: log.size },
      'ready',
    );
    rooms.pruning.start();
    rooms.logPruner.alsoNeeded(() => forwarders.needs());
    const daily = pruneDaily(rooms.logPruner, logger);
    const verifying = new BackgroundVerify({
      dir: auditDir,
      log,
      lastAt: await lastVerifiedAt(index),
      keys: () => deps.trail.keys.map(({ vkey }) => vkey),
      now: () => deps.clock.now(),
      logger,
    });
    verifying.start();
    const blocked = Promise.withResolvers<OrchestraError>();
    log.onBlocked((error) => blocked.resolve(error));
    return {
      blocked: blocked.promise,
      stop: async (reason, how) => {
        isStopping = true;
        daily[Symbol.dispose]();
        await verifying[Symbol.asyncDispose]();
        await rooms.endRuns(reason, how);
        await Promise.all([server.close(connectionsStopMs), network.close(connectionsStopMs)]);
        await refusals[Symbol.asyncDispose]();
        await rooms.recordEnd();
        await forwarders.close(forwardersStopMs);
        await index.close();
        await rooms.close();
      },
      handOver: async (reason) => {
        isStopping = true;
        await Promise.all([server.close(handOverMs), network.close(handOverMs)]);
        await refusals[Symbol.asyncDispose]();
        await rooms.recordHandOver(reason);
      },
      reload: async () => {
        const { loaded, changed } = await deps.policies.reload();
        await network.reload();
        const names = changed.map(({ name }) => name).join(', ');
        return `${loaded} policies read again, ${changed.length === 0 ? 'none changed' : `changed: ${names}`}`;
      },
      beat: () => {
        if (log.blocked) throw log.blocked;
        deps.slots.pass();
        const tasks = config.tasksAtOnce - deps.slots.free;
        return `${runs.openCount} runs open, ${tasks} tasks at work, ${deps.slots.waiting} waiting`;
      },
    };
  } catch (error) {
    await opened.disposeAsync();
    throw error;
  }
}
