import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, openSync, closeSync, readFileSync } from 'node:fs';
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
  const daemon = await ensureDaemon(paths, engine.host);
  try {
    const cwd = process.env['INIT_CWD'] ?? process.cwd();
    const env = { ...process.env, ORCHESTRA_HOST: `unix://${paths.socket}` };
    const cli = async (...arguments_: string[]) =>
      exitOf(
        spawn(process.execPath, [path.join(root, 'cli/main.ts'), ...arguments_], {
          cwd,
          env,
          stdio: 'inherit',
        }),
      );
    const ran = await cli('run', 'Build and test', '--workspace', project);
    const verified = await cli('audit', 'verify');
    process.stdout.write(whatNext(daemon === undefined));
    return ran === 0 ? verified : ran;
  } finally {
    if (daemon !== undefined) await stop(daemon);
  }
}

/** Our own daemon as a child; `undefined` when one answers already, which is used and left running. */
async function ensureDaemon(
  paths: DefaultPaths,
  engine: string,
): Promise<ChildProcess | undefined> {
  if (await isHealthy(paths.socket)) {
    sayProgress(`a daemon answers already at ${paths.socket}`);
    return undefined;
  }
  sayProgress('starting orchestrad');
  mkdirSync(paths.stateDir, { recursive: true, mode: 0o700 });
  const logFile = path.join(paths.stateDir, 'demo-daemon.log');
  const log = openSync(logFile, 'w', 0o600);
  const flags = ['--state-dir', paths.stateDir, '--socket', paths.socket, '--engine', engine];
  // A group of its own: a Ctrl-C is for the run, and the daemon is needed to cancel it cleanly.
  const daemon = spawn(process.execPath, [path.join(root, 'daemon/main.ts'), ...flags], {
    stdio: ['ignore', log, log],
    detached: true,
  });
  closeSync(log);
  const giveUpAt = performance.now() + readyMs;
  while (!(await isHealthy(paths.socket))) {
    if (daemon.exitCode !== null || daemon.signalCode !== null || performance.now() > giveUpAt) {
      daemon.kill('SIGKILL');
      throw new OrchestraError('daemon.unreachable', 'orchestrad did not start', {
        hint: `read ${logFile}`,
        places: readFileSync(logFile, 'utf8')
          .trimEnd()
          .split('\n')
          .slice(-5)
          .map((message) => ({ message })),
      });
    }
    await sleep(25);
  }
  return daemon;
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
  // The terminal sends Ctrl-C to us as well; the child decides what it means, we wait for it.
  const wait = () => {};
  process.on('SIGINT', wait);
  const hand = () => child.kill('SIGTERM');
  process.on('SIGTERM', hand);
  try {
    return await new Promise((resolve, reject) => {
      if (child.exitCode !== null) resolve(child.exitCode);
      child.once('error', reject);
      child.once('exit', (code, signal) => {
        resolve(code ?? (signal === 'SIGINT' ? 130 : 143));
      });
    });
  } finally {
    process.off('SIGINT', wait);
    process.off('SIGTERM', hand);
  }
}

function whatNext(daemonRuns: boolean): string {
  const orchestra = 'npm run -s orchestra --';
  return `
What to try next
${daemonRuns ? '' : '  npm run -s orchestrad &                            the daemon stays for what follows\n'}\
  ${orchestra} runs                            every run there was, this one included
  ${orchestra} report @last                    its report
  ${orchestra} diff @last                      what the tasks changed; apply @last writes it
  ${orchestra} run --plan examples/planned-project/plan.yaml   a plan written by hand
  ${orchestra} doctor                          which engine and image, and what isolation is really there
  ${orchestra} engine stop                     stop Orchestra’s own container engine
`;
}
