import { fstatSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { OrchestraError } from '#contract/errors.ts';
import { openDatagramSockets, type DatagramSockets } from './audit/forward/targets/datagram.ts';

/** What a service manager told this process, sd_notify(3), sd_listen_fds(3), sd_watchdog_enabled(3). */
export type ServiceEnv = {
  /** A path, or `@name` in the abstract namespace; undefined where nobody wants to be told. */
  notify: string | undefined;
  /** How long it waits for a sign of life. */
  watchdogMs: number | undefined;
  /** It passed the listening socket, as descriptor 3. */
  isSocketPassed: boolean;
};

type Env = Record<string, string | undefined>;

const names = [
  'NOTIFY_SOCKET',
  'WATCHDOG_PID',
  'WATCHDOG_USEC',
  'LISTEN_PID',
  'LISTEN_FDS',
  'LISTEN_FDNAMES',
];
const passedFd = 3;

/** Takes it out of the environment: no program that this one starts may speak in its name. */
export function takeServiceEnv(env: Env, pid: number, isSocket = isSocketFd): ServiceEnv {
  const said = Object.fromEntries(names.map((name) => [name, env[name]]));
  for (const name of names) delete env[name];
  return {
    notify: said['NOTIFY_SOCKET'] === '' ? undefined : said['NOTIFY_SOCKET'],
    watchdogMs: watchdogMs(said, pid),
    isSocketPassed: isPassed(said, pid, isSocket),
  };
}

/** Words to the service manager. Where there is none, or it cannot be reached, they go nowhere. */
export type ServiceManager = {
  /** Resolves once it was taken: whoever waits for it waits for everything that depends on us. */
  ready(status: string): Promise<void>;
  stopping(status: string): Promise<void>;
  /** Settings are being read again; `ready` says that they are. */
  reloading(): Promise<void>;
  /**
   * Sends a sign of life with each beat, at a third of what is waited. `beat` says how things are,
   * or throws where nothing moves: then nothing is sent, and the manager ends this process.
   */
  watch(beat: () => string, onSilence: (error: unknown) => void): Disposable;
};

const tries = 20;
const againMs = 50;

export async function openServiceManager(
  { notify, watchdogMs: waited }: Pick<ServiceEnv, 'notify' | 'watchdogMs'>,
  onTrouble: (error: unknown) => void,
  open: () => Promise<DatagramSockets> = openDatagramSockets,
): Promise<ServiceManager> {
  const send =
    notify === undefined
      ? undefined
      : await sender(notify, open).catch((error: unknown) => {
          onTrouble(error);
        });
  // A manager that is busy takes it a moment later; one that is gone has nobody who waits.
  const say = async (...lines: string[]) => {
    try {
      for (let i = 0; i < tries; i += 1) {
        if (send === undefined || send(lines)) return;
        await sleep(againMs);
      }
    } catch (error) {
      onTrouble(error);
    }
  };
  return {
    ready: (status) => say('READY=1', statusLine(status)),
    stopping: (status) => say('STOPPING=1', statusLine(status)),
    // The time tells the manager that this answers its own request and no earlier one.
    reloading: () => say('RELOADING=1', `MONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`),
    watch: (beat, onSilence) => {
      if (send === undefined || waited === undefined) return { [Symbol.dispose]: () => {} };
      const timer = setInterval(() => {
        try {
          void say('WATCHDOG=1', statusLine(beat()));
        } catch (error) {
          onSilence(error);
        }
      }, waited / 3);
      timer.unref();
      return { [Symbol.dispose]: () => clearInterval(timer) };
    },
  };
}

async function sender(
  address: string,
  open: () => Promise<DatagramSockets>,
): Promise<(lines: readonly string[]) => boolean> {
  if (!/^[/@]./.test(address))
    throw new Error(`${address.slice(0, 200)} is no socket of this machine`);
  const sockets = await open();
  const fd = sockets.connect(address.replace(/^@/, '\0'));
  return (lines) => sockets.send(fd, Buffer.from(lines.join('\n')));
}

const statusMax = 400;

function statusLine(status: string): string {
  return `STATUS=${status.replaceAll(/\s+/g, ' ').slice(0, statusMax)}`;
}

function watchdogMs({ WATCHDOG_PID: named, WATCHDOG_USEC: usec }: Env, pid: number) {
  if (usec === undefined || (named !== undefined && named !== String(pid))) return undefined;
  const ms = Number(usec) / 1000;
  return Number.isFinite(ms) && ms > 0 ? ms : undefined;
}

function isPassed(
  { LISTEN_PID: named, LISTEN_FDS: count, LISTEN_FDNAMES: fdNames }: Env,
  pid: number,
  isSocket: (fd: number) => boolean,
): boolean {
  if (named !== String(pid)) return false;
  const wrong = (what: string) =>
    new OrchestraError('config.invalid', `The service manager passed ${what}`, {
      hint: 'pass exactly one listening socket, FileDescriptorName=api: systemctl cat orchestrad.socket',
    });
  if (count !== '1') throw wrong(`${(count ?? 'no').slice(0, 20)} sockets`);
  if (fdNames !== undefined && !['api', 'unknown', ''].includes(fdNames)) {
    throw wrong(`a socket named ${fdNames.slice(0, 100)}`);
  }
  if (!isSocket(passedFd)) throw wrong('something that is no socket');
  return true;
}

function isSocketFd(fd: number): boolean {
  try {
    return fstatSync(fd).isSocket();
  } catch {
    return false;
  }
}
