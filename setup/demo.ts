import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, openSync, closeSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { OrchestraError } from '#contract/errors.ts';
import { ask } from './engine/http.ts';
import { defaultPaths, type DefaultPaths } from './paths.ts';
import { prepare } from './prepare.ts';
import { sayProgress, saying } from './say.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const project = path.join(root, 'examples/typescript-project');
const readyMs = 30_000;

process.exitCode = await saying(demo);

/** The main job from nothing: daemon up, a real project built and tested, the record verified. */
async function demo(): Promise<number> {
  const { engine, image } = await prepare(process.env, sayProgress);
  const paths = defaultPaths(process.env, process.getuid?.() ?? -1);
  sayProgress(
    `engine ${engine.kind} ${engine.version} (${engine.origin}), image ${image.tag} (${image.origin})`,
  );
  using interruption = hearSignals();
  const daemon = await ensureDaemon(paths, engine.host, interruption);
  try {
    const ran = await orchestra(
      ['run', 'Build and test', '--workspace', project],
      paths,
      interruption,
    );
    if (interruption.exit !== undefined) return ran === 0 ? interruption.exit : ran;
    const verified = await orchestra(['audit', 'verify'], paths, interruption);
    process.stdout.write(whatNext(daemon === undefined));
    return ran === 0 ? verified : ran;
  } finally {
    if (daemon !== undefined) await stop(daemon);
  }
}

type Interruption = Disposable & { exit: number | undefined; child: ChildProcess | undefined };

/**
 * From here on a signal must not end us before the daemon is stopped. The terminal sends Ctrl-C to
 * the command as well, which decides what it means; SIGTERM reaches only us and is handed on.
 */
function hearSignals(): Interruption {
  const interrupt = () => {
    interruption.exit = 130;
  };
  const terminate = () => {
    interruption.exit = 143;
    interruption.child?.kill('SIGTERM');
  };
  const interruption: Interruption = {
    exit: undefined,
    child: undefined,
    [Symbol.dispose]: () => {
      process.off('SIGINT', interrupt).off('SIGTERM', terminate);
    },
  };
  process.on('SIGINT', interrupt).on('SIGTERM', terminate);
  return interruption;
}

async function orchestra(
  arguments_: string[],
  { socket }: DefaultPaths,
  interruption: Interruption,
): Promise<number> {
  interruption.child = spawn(process.execPath, [path.join(root, 'cli/main.ts'), ...arguments_], {
    cwd: process.env['INIT_CWD'] ?? process.cwd(),
    env: { ...process.env, ORCHESTRA_HOST: `unix://${socket}` },
    stdio: 'inherit',
  });
  return exitOf(interruption.child);
}

/** Our own daemon as a child; `undefined` when one answers already, which is used and left running. */
async function ensureDaemon(
  paths: DefaultPaths,
  engine: string,
  interruption: Interruption,
): Promise<ChildProcess | undefined> {
  if (await isHealthy(paths.socket)) {
    sayProgress(`a daemon answers already at ${paths.socket}`);
    return undefined;
  }
  sayProgress('starting orchestrad');
  mkdirSync(paths.stateDir, { recursive: true, mode: 0o700 });
  const logFile = path.join(paths.stateDir, 'demo-daemon.log');
  const log = openSync(logFile, 'w', 0o600);
  const flags = [
    // Even if the demo is killed, its end of the pipe closes and the daemon stops.
    '--stop-with-stdin',
    '--state-dir',
    paths.stateDir,
    '--socket',
    paths.socket,
    '--engine',
    engine,
  ];
  // A group of its own: a Ctrl-C is for the run, and the daemon is needed to cancel it cleanly.
  const daemon = spawn(process.execPath, [path.join(root, 'daemon/main.ts'), ...flags], {
    stdio: ['pipe', log, log],
    detached: true,
  });
  closeSync(log);
  const giveUpAt = performance.now() + readyMs;
  while (!(await isHealthy(paths.socket))) {
    if (interruption.exit !== undefined) {
      await stop(daemon);
      throw new OrchestraError('daemon.stopping', 'The demo was interrupted');
    }
    if (daemon.exitCode !== null || daemon.signalCode !== null || performance.now() > giveUpAt) {
      daemon.kill('SIGKILL');
      throw new OrchestraError('daemon.unreachable', 'orchestrad did not start', {
        hint: `read ${logFile}`,
        places: whatItSaid(readFileSync(logFile, 'utf8')).map((message) => ({ message })),
      });
    }
    await sleep(25);
  }
  return daemon;
}

// Of a crash the first line with the error matters, of an orderly refusal the last line.
function whatItSaid(log: string): string[] {
  const lines = log.trimEnd().split('\n');
  const crash = lines.findIndex((line) => /^\w*Error\b/.test(line));
  return (crash === -1 ? lines.slice(-3) : lines.slice(crash, crash + 3)).map((line) =>
    line.slice(0, 300),
  );
}

async function isHealthy(socketPath: string): Promise<boolean> {
  if (!existsSync(socketPath)) return false;
  try {
    const answer = await ask({ socketPath }, { path: '/healthz', timeoutMs: 2_000 });
    answer.resume();
    return answer.statusCode === 200;
  } catch {
    return false;
  }
}

async function stop(daemon: ChildProcess): Promise<void> {
  if (daemon.exitCode !== null || daemon.signalCode !== null) return;
  daemon.kill('SIGTERM');
  const gone = new AbortController();
  const deadline = sleep(30_000, undefined, { signal: gone.signal }).then(
    () => daemon.kill('SIGKILL'),
    () => undefined,
  );
  await exitOf(daemon);
  gone.abort();
  await deadline;
}

async function exitOf(child: ChildProcess): Promise<number> {
  if (child.exitCode !== null) return child.exitCode;
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      resolve(code ?? 128 + (constants.signals[signal ?? 'SIGKILL'] ?? 0));
    });
  });
}

function whatNext(daemonRuns: boolean): string {
  const tips = [
    ...(daemonRuns ? [] : [['npm run -s orchestrad &', 'keep a daemon for what follows']]),
    ...[
      ['runs', 'every run there was, this one included'],
      ['report @last', 'its report'],
      ['diff @last', 'what its tasks changed; `apply @last` writes it'],
      ['run --plan examples/planned-project/plan.yaml', 'a plan written by hand'],
      ['doctor', 'which engine and image, and what isolation there really is'],
      ['engine stop', 'stop Orchestra’s own container engine'],
    ].map(([command, meaning]) => [`npm run -s orchestra -- ${command}`, meaning]),
  ];
  const lines = tips.map(([command, meaning]) => `  ${command}\n      ${meaning}`);
  return `\nWhat to try next\n${lines.join('\n')}\n`;
}
