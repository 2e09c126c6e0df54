#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { pino, type Logger } from 'pino';
import { exitCodes, OrchestraError } from '#contract/errors.ts';
import { findEngine } from '#setup/engine/find.ts';
import { defaultPaths } from '#setup/paths.ts';
import { acknowledge } from './accept-loss.ts';
import { armFailpoints } from './base/failpoints.ts';
import { readConfig, type Config } from './config.ts';
import { checkNetwork } from './network.ts';
import { checkPolicies } from './policy/book.ts';
import { assertInvariants } from './policy/invariants/check.ts';
import { testBeside } from './policy/tests/beside.ts';
import { readSeccompProfile } from './policy/seccomp.ts';
import {
  openServiceManager,
  takeServiceEnv,
  type ServiceEnv,
  type ServiceManager,
} from './service-manager.ts';
import { statusOf, waitForEngine } from './waiting.ts';
import { startDaemon, type Daemon } from './wire.ts';

const usage = `orchestrad: runs plans in locked containers and keeps the record

  orchestrad [--config FILE] [--socket PATH] [--state-dir DIR] [--engine HOST] [--check]

  --config FILE     settings in YAML; every key is in docs/CONFIG.md
  --socket PATH     where the API listens
  --state-dir DIR   the log, blobs, snapshots and layers
  --engine HOST     the container engine, such as unix:///var/run/docker.sock
  --stop-with-stdin stops when stdin is closed, so as not to outlive whoever started it
  --acknowledge-loss REASON  records of the log are gone for good: says so on record, and exits
  --check           validates the settings and policies, with their invariants and the cases beside
                    them, starts nothing, exits 0 or 1
  --version, --help

SIGTERM ends what runs and leaves its runs open for the next daemon; SIGUSR2 leaves to the next one
what runs as well. SIGHUP reads policies and certificates again.
`;

const root = new URL('..', import.meta.url);
const policiesDir = new URL('policies', root).pathname;
const signerProgram = new URL(
  import.meta.filename.endsWith('.ts') ? 'signer/main.ts' : 'dist/orchestra-signer.mjs',
  root,
).pathname;
const lastWordsMs = 60_000;
const endings = ['SIGTERM', 'SIGINT', 'SIGUSR2'] as const;
/** The unit starts a daemon that ends with this again, and calls it no failure. */
const againCode = 75;

async function main(): Promise<void> {
  armFailpoints(process.env['ORCHESTRA_FAILPOINTS']);
  const flags = readFlags();
  if (flags.help) return say(usage);
  const version = readVersion();
  if (flags.version) return say(`${version}\n`);
  const said = await configure(flags);
  // One that lives as long as a command is for nobody but that command.
  const config = flags['stop-with-stdin'] === true ? { ...said, listen: [] } : said;
  if (flags.check) {
    const documents = await checkPolicies({
      directories: [policiesDir, ...(config.policies ? [config.policies] : [])],
      ceiling: config.ceiling,
      standard: config.policy,
      check: (all, judge) => assertInvariants(judge, all),
    });
    for (const line of await testBeside(documents)) say(`${line}\n`);
    await readSeccompProfile(join(policiesDir, 'seccomp.json'));
    await checkNetwork(config);
    return say('The settings and policies are in order.\n');
  }
  const reasonOfLoss = flags['acknowledge-loss'];
  if (reasonOfLoss !== undefined) {
    return acknowledge({ config, version, signerProgram }, reasonOfLoss);
  }
  const logger = pino({ level: config.logLevel, base: { pid: process.pid } });
  const service = takeServiceEnv(process.env, process.pid);
  const manager = await openServiceManager(service, (error) =>
    logger.warn({ err: error }, 'the service manager cannot be told'),
  );
  process.on('uncaughtException', (error) => {
    logger.fatal({ err: error }, 'uncaught');
    process.exit(exitCodes.bug);
  });
  const started = await startDaemon({
    config,
    version,
    policiesDir,
    signerProgram,
    logger,
    env: process.env,
    uid: process.getuid?.() ?? 0,
    gid: process.getgid?.() ?? 0,
    isPassed: service.isSocketPassed,
  }).catch((error: unknown) => {
    const isService = service.notify !== undefined && flags['stop-with-stdin'] !== true;
    if (isService && isMissingEngine(error)) return error;
    throw error;
  });
  if (started instanceof OrchestraError) {
    return untilEngine(started, { config, version, service, manager, logger });
  }
  const daemon = started;
  const ending = Promise.withResolvers<string>();
  for (const name of endings) {
    process.once(name, () => ending.resolve(name));
  }
  if (flags['stop-with-stdin']) {
    process.stdin.once('close', () => ending.resolve('stdin closed')).resume();
  }
  // What the last reading of policies came to stays to be seen while it matters: as long as it failed.
  let refused = '';
  const status = () => `${refused}${daemon.beat()}`;
  let reloading = Promise.resolve();
  process.on('SIGHUP', () => {
    reloading = reloading.then(async () => {
      await manager.reloading();
      refused = await reload(daemon, logger);
      await manager.ready(status());
    });
  });
  const watching = manager.watch(status, (error) =>
    logger.fatal({ err: error }, 'no sign of life for the service manager'),
  );
  await manager.ready(status());
  const reason = await Promise.race([ending.promise, daemon.blocked]);
  watching[Symbol.dispose]();
  // An open stdin would keep the process alive after everything else has ended.
  if (flags['stop-with-stdin']) process.stdin.destroy();
  if (typeof reason === 'string') {
    logger.info({ reason }, 'stopping');
    await manager.stopping(reason === 'SIGUSR2' ? 'handing over' : 'stopping');
    if (reason === 'SIGUSR2') {
      await daemon.handOver(reason);
      // At once: whatever still moves here would end what the next daemon is to take over.
      process.exit(exitCodes.ok);
    }
    // One that ends with whoever started it leaves nothing to a next one that may never come.
    await daemon.stop(reason, { leave: reason !== 'stdin closed' });
    return;
  }
  logger.fatal({ err: reason }, 'the log cannot be written any more; nothing may run');
  // A disk that hangs does not let go of its calls, and what cannot be recorded must not go on.
  setTimeout(() => process.exit(exitCodes.unreachable), lastWordsMs).unref();
  await daemon.stop('log blocked');
  process.exitCode = exitCodes.unreachable;
}

/** Answers what is to be said of it from now on: nothing, where it is in order. */
async function reload(daemon: Daemon, logger: Logger): Promise<string> {
  try {
    logger.info(await daemon.reload());
    return '';
  } catch (error) {
    logger.error({ err: error }, 'not reloaded; what was in force stays in force');
    return `reload refused: ${error instanceof Error ? error.message : String(error)}; `;
  }
}

function isMissingEngine(error: unknown): error is OrchestraError {
  return error instanceof OrchestraError && error.code === 'engine.unavailable';
}

/** A service without an engine says so until there is one; then it ends, to be started again. */
async function untilEngine(
  missing: OrchestraError,
  parts: {
    config: Config;
    version: string;
    service: ServiceEnv;
    manager: ServiceManager;
    logger: Logger;
  },
): Promise<void> {
  const { config, version, service, manager, logger } = parts;
  const left = new AbortController();
  for (const name of endings) process.once(name, () => left.abort());
  process.on('SIGHUP', () => undefined);
  let status = statusOf(missing);
  logger.error(status);
  using _watching = manager.watch(
    () => status,
    () => undefined,
  );
  await manager.ready(status);
  await waitForEngine({
    missing,
    version,
    socket: service.isSocketPassed ? undefined : config.socket,
    find: async () => findEngine({ env: process.env, explicit: config.engine }),
    say: (now) => {
      if (now !== status) logger.error(now);
      status = now;
    },
    signal: left.signal,
  });
  if (left.signal.aborted) return;
  logger.info('an engine answers; starting again');
  process.exitCode = againCode;
}

type Flags = ReturnType<typeof readFlags>;

function readFlags() {
  try {
    return parseArgs({
      options: {
        config: { type: 'string' },
        socket: { type: 'string' },
        'state-dir': { type: 'string' },
        engine: { type: 'string' },
        'stop-with-stdin': { type: 'boolean' },
        'acknowledge-loss': { type: 'string' },
        check: { type: 'boolean' },
        version: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (cause) {
    const said = cause instanceof Error ? cause.message : String(cause);
    throw new OrchestraError('usage.invalid', said, { hint: 'orchestrad --help', cause });
  }
}

async function configure(flags: Flags): Promise<Config> {
  const defaults = defaultPaths(process.env, process.getuid?.() ?? -1);
  return readConfig({
    flags: { socket: flags.socket, state_dir: flags['state-dir'], engine: flags.engine },
    file: flags.config,
    defaultFile: defaults.configFile,
    defaults: {
      socket: defaults.socket,
      state_dir: defaults.stateDir,
      // Where systemd puts the credentials of a unit.
      secrets_dir: process.env['CREDENTIALS_DIRECTORY'],
    },
  });
}

function readVersion(): string {
  const manifest = JSON.parse(readFileSync(new URL('package.json', root), 'utf8')) as {
    version: string;
  };
  return manifest.version;
}

function say(text: string): void {
  process.stdout.write(text);
}

function explain(error: unknown): number {
  if (!(error instanceof OrchestraError)) {
    process.stderr.write(
      `orchestrad failed: ${error instanceof Error ? String(error.stack) : String(error)}\n`,
    );
    return exitCodes.bug;
  }
  process.stderr.write(`orchestrad: ${error.message} (${error.code})\n`);
  for (const { file, line, column, message, hint } of error.places) {
    const at = file === undefined ? '' : `${file}:${line ?? 1}:${column ?? 1}: `;
    process.stderr.write(`  ${at}${message}${hint === undefined ? '' : `, ${hint}`}\n`);
  }
  if (error.hint !== undefined) process.stderr.write(`Next  ${error.hint}\n`);
  return error.facts.exit;
}

try {
  await main();
} catch (error) {
  process.exitCode = explain(error);
}
