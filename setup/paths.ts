import { createHash } from 'node:crypto';
import { homedir } from 'node:os';
import path from 'node:path';

type Env = Readonly<Record<string, string | undefined>>;

export type DefaultPaths = {
  /** The daemon's durable state: log, blobs, keys. */
  stateDir: string;
  /** The daemon's socket. */
  socket: string;
  /** Downloads that can be fetched again. */
  cacheDir: string;
  /** Read when no `--config` is given; need not exist. */
  configFile: string;
  engine: EnginePaths;
};

/** Where Orchestra's own engine lives. One per machine; every daemon of the machine shares it. */
export type EnginePaths = {
  runDir: string;
  dataDir: string;
  /** A shared mount, made before the engine starts: what is mounted beneath it reaches sandboxes. */
  slotsDir: string;
  socket: string;
  pidFile: string;
  execDir: string;
  logFile: string;
  lockFile: string;
  cgroupParent: string;
};

/** Says where things lie when nobody says otherwise. Creates nothing. */
export function defaultPaths(env: Env, uid: number): DefaultPaths {
  const isRoot = uid === 0;
  const home = absolute(env['HOME']) ?? homedir();
  const xdg = (name: string, fallback: string) => absolute(env[name]) ?? path.join(home, fallback);
  const stateHome = absolute(env['XDG_STATE_HOME']);
  const stateDir =
    isRoot && stateHome === undefined
      ? '/var/lib/orchestra/state'
      : path.join(stateHome ?? path.join(home, '.local/state'), 'orchestra');
  const runtimeDir = isRoot ? '/run' : absolute(env['XDG_RUNTIME_DIR']);
  return {
    stateDir,
    socket:
      runtimeDir === undefined
        ? path.join(stateDir, 'orchestra.sock')
        : path.join(runtimeDir, 'orchestra/orchestra.sock'),
    cacheDir: path.join(xdg('XDG_CACHE_HOME', '.cache'), 'orchestra'),
    configFile: isRoot
      ? '/etc/orchestra/orchestrad.yaml'
      : path.join(xdg('XDG_CONFIG_HOME', '.config'), 'orchestra/orchestrad.yaml'),
    engine: enginePaths(env),
  };
}

/** `ORCHESTRA_ENGINE_DIR` puts the whole engine into one folder: a second one beside the first. */
export function enginePaths(env: Env): EnginePaths {
  const dir = absolute(env['ORCHESTRA_ENGINE_DIR']);
  const runDir = dir ?? '/run/orchestra/engine';
  return {
    runDir,
    dataDir: dir === undefined ? '/var/lib/orchestra/engine' : path.join(dir, 'data'),
    slotsDir: dir === undefined ? '/var/lib/orchestra/slots' : path.join(dir, 'slots'),
    socket: path.join(runDir, 'docker.sock'),
    pidFile: path.join(runDir, 'docker.pid'),
    execDir: path.join(runDir, 'exec'),
    logFile: path.join(runDir, 'engine.log'),
    lockFile: path.join(runDir, 'engine.lock'),
    cgroupParent: dir === undefined ? '/orchestra-engine' : `/orchestra-engine-${shortHash(dir)}`,
  };
}

// A relative path in these variables is to be ignored, says the XDG specification.
function absolute(value: string | undefined): string | undefined {
  return value !== undefined && path.isAbsolute(value) ? path.normalize(value) : undefined;
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 10);
}
