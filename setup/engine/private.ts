import { spawn } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { OrchestraError } from '#contract/errors.ts';
import { withLock } from '../lock.ts';
import type { EnginePaths } from '../paths.ts';
import type { Progress } from '../progress.ts';
import { findEngine, type FoundEngine } from './find.ts';
import { isDead, livePid, pidsBelowCgroup, shimsOf } from './processes.ts';
import { findRuntimes, thisMachine } from './runtimes.ts';
import { shareDirectory, unshareDirectory } from './shared-mount.ts';

const readyMs = 60_000;
const slowMs = 30_000;
const logMax = 16 * 1024 * 1024;

export type EngineOptions = {
  /**
   * Who is root in its containers: this user of the machine and the 65,535 after it
   * (user_namespaces(7)). Left out, users are not mapped.
   */
  usersFrom?: number;
};

/**
 * Starts Orchestra's own engine, or finds it running. Many may call this at once: one starts, the
 * others wait for it. Survives what a SIGKILL or a reboot leaves behind.
 */
export async function startPrivateEngine(
  paths: EnginePaths,
  progress: Progress,
  options: EngineOptions = {},
): Promise<FoundEngine> {
  makePrivateDir(paths.runDir, options);
  return withLock(
    paths.lockFile,
    async () => {
      const running = (await answering(paths)) ?? (await slowAnswer(paths));
      if (running !== undefined) return running;
      progress('starting Orchestra’s own container engine');
      await clearRemains(paths);
      shareDirectory(paths.slotsDir);
      const pid = launch(paths, options);
      try {
        return await untilReady(paths, pid);
      } catch (error) {
        unshareDirectory(paths.slotsDir);
        throw error;
      }
    },
    { onWait: () => progress('waiting for another set-up that starts the engine') },
  );
}

/** The private engine if it answers now. */
export async function answering(paths: EnginePaths): Promise<FoundEngine | undefined> {
  const found = await findEngine({ explicit: `unix://${paths.socket}`, env: {} }).catch(
    () => undefined,
  );
  return found && { ...found, origin: 'private' };
}

function makePrivateDir(dir: string, { usersFrom }: EngineOptions): void {
  // The parent also holds the daemon's socket, so others may pass through it; this one is root's.
  // A root that is nobody here has to pass through it on the way to its image.
  const mode = usersFrom === undefined ? 0o700 : 0o711;
  mkdirSync(path.dirname(dir), { recursive: true, mode: 0o755 });
  mkdirSync(dir, { recursive: true, mode });
  chmodSync(dir, mode);
}

// An engine that lives but does not answer may only be starting, or the machine be busy: what follows
// would kill its sandboxes, so it gets its time first.
async function slowAnswer(paths: EnginePaths): Promise<FoundEngine | undefined> {
  const giveUpAt = performance.now() + slowMs;
  while (livePid(paths.pidFile) !== undefined && performance.now() < giveUpAt) {
    const engine = await answering(paths);
    if (engine !== undefined) return engine;
    await sleep(25);
  }
  return undefined;
}

/**
 * After a SIGKILL of the engine its containers live on, and the next start would stop them one by
 * one with their full grace period, or hang on a containerd pid file that names a zombie.
 */
async function clearRemains(paths: EnginePaths): Promise<void> {
  const stuck = livePid(paths.pidFile);
  const orphans = [...pidsBelowCgroup(paths.cgroupParent), ...shimsOf(paths.execDir)];
  const doomed = stuck === undefined ? orphans : [stuck, ...orphans];
  for (const pid of doomed) kill(pid);
  await untilDead(doomed, 5_000);
  for (const file of [
    paths.pidFile,
    paths.socket,
    path.join(paths.execDir, 'containerd/containerd.pid'),
  ]) {
    rmSync(file, { force: true });
  }
}

function launch(paths: EnginePaths, options: EngineOptions): number {
  makePrivateDir(paths.execDir, options);
  mkdirSync(paths.dataDir, { recursive: true, mode: 0o711 });
  const runtimes = findRuntimes(thisMachine(systemPath));
  writeFileSync(configFile(paths), `${JSON.stringify({ runtimes }, null, 2)}\n`, { mode: 0o600 });
  const log = openLog(paths.logFile);
  try {
    // A network namespace of its own: nothing of the host's network is touched (with --bridge=none
    // an engine would delete the host's docker0), and the engine itself reaches nothing. A mount
    // namespace of its own, to take away the empty cgroup v2 tree that crun trips over on hybrid
    // machines; `slave`, so that the host never sees what happens inside.
    const child = spawn(
      'unshare',
      [
        '--net',
        '--mount',
        '--propagation',
        'slave',
        '--',
        'sh',
        '-c',
        launchScript,
        'dockerd',
      ].concat(engineArguments(paths, options)),
      {
        detached: true,
        stdio: ['ignore', log, log],
        env: { PATH: systemPath, USERS_FROM: String(options.usersFrom ?? ''), RUN: paths.runDir },
        cwd: '/',
      },
    );
    child.on('error', () => {}); // No pid then, which is reported below.
    child.unref();
    if (child.pid === undefined) {
      throw new OrchestraError('engine.unavailable', 'The program `unshare` could not be started', {
        hint: 'apt-get install util-linux',
      });
    }
    return child.pid;
  } finally {
    closeSync(log);
  }
}

export const systemPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

// The engine reads the numbers that it may map from two files of the machine; only here, in a mount
// namespace of its own, do they say so. The user `daemon` is on every system and is only a name.
const launchScript = `
if [ -n "$USERS_FROM" ]; then
  for file in subuid subgid; do
    echo "daemon:$USERS_FROM:65536" >"$RUN/$file" && mount --bind "$RUN/$file" "/etc/$file" || exit 1
  done
fi
if [ -d /sys/fs/cgroup/unified ] && [ -d /sys/fs/cgroup/pids ]; then
  umount /sys/fs/cgroup/unified 2>/dev/null
fi
exec dockerd "$@"`;

function engineArguments(paths: EnginePaths, { usersFrom }: EngineOptions): string[] {
  const nofileMax = hardLimit('Max open files', 8192);
  return [
    `--data-root=${paths.dataDir}`,
    `--exec-root=${paths.execDir}`,
    `--host=unix://${paths.socket}`,
    '--group=root',
    '--pidfile',
    paths.pidFile,
    // A file of our own, which names the runtimes: the machine's /etc/docker/daemon.json is for the
    // machine's engine.
    `--config-file=${configFile(paths)}`,
    '--bridge=none',
    '--iptables=false',
    '--ip6tables=false',
    '--ip-forward=false',
    '--ip-masq=false',
    '--userland-proxy=false',
    ...(usersFrom === undefined ? [] : ['--userns-remap=daemon']),
    '--storage-driver=overlay2',
    '--log-driver=json-file',
    '--shutdown-timeout=2',
    '--exec-opt=native.cgroupdriver=cgroupfs',
    `--cgroup-parent=${paths.cgroupParent}`,
    `--default-ulimit=nofile=${Math.min(4096, nofileMax)}:${nofileMax}`,
    '--default-ulimit=core=0:0',
  ];
}

function configFile(paths: EnginePaths): string {
  return path.join(paths.runDir, 'daemon.json');
}

// A container's limit above our own hard limit makes every start fail without CAP_SYS_RESOURCE.
function hardLimit(name: string, wanted: number): number {
  const line = readFileSync('/proc/self/limits', 'utf8')
    .split('\n')
    .find((each) => each.startsWith(name));
  const hard = Number(line?.slice(name.length).trim().split(/\s+/)[1]);
  return Number.isSafeInteger(hard) ? Math.min(hard, wanted) : wanted;
}

function openLog(file: string): number {
  try {
    if (statSync(file).size > logMax) truncateSync(file);
  } catch {
    // No log yet.
  }
  return openSync(file, 'a', 0o600);
}

async function untilReady(paths: EnginePaths, pid: number): Promise<FoundEngine> {
  const giveUpAt = performance.now() + readyMs;
  while (performance.now() < giveUpAt) {
    const engine = await answering(paths);
    if (engine !== undefined) {
      chmodSync(paths.socket, 0o600);
      return engine;
    }
    if (isDead(pid)) break;
    await sleep(25);
  }
  kill(pid);
  throw new OrchestraError('engine.unavailable', 'Orchestra’s own engine did not start', {
    hint: `read the last lines of ${paths.logFile}`,
    places: lastLines(paths.logFile).map((message) => ({ message })),
  });
}

function lastLines(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-5);
  } catch {
    return [];
  }
}

async function untilDead(pids: readonly number[], timeoutMs: number): Promise<void> {
  const giveUpAt = performance.now() + timeoutMs;
  while (performance.now() < giveUpAt && !pids.every(isDead)) await sleep(25);
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It went by itself.
  }
}
