import { readFile } from 'node:fs/promises';
import { connect, isIP, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import type { Batch, Target } from '../target.ts';
import type { Unacknowledged } from './unacknowledged.ts';

export type Remote = { path: string } | { host: string; port: number; tls?: TlsFiles | undefined };
export type TlsFiles = {
  ca?: string | undefined;
  cert?: string | undefined;
  key?: string | undefined;
};

export type StreamOptions = {
  remote: Remote;
  frame: (text: string) => string;
  timeoutMs: number;
  /** How long a connection has to last after what it carried, for that to count as arrived. */
  settleMs: number;
  now: () => number;
  /** What the kernel holds that the other side did not acknowledge. */
  unacknowledged: Unacknowledged;
};

type Sent = { to: number; at: number };

const endMs = 1_000;
/** Batches on their way; what comes after them waits. */
const sentMax = 256;
const settleAgainMs = 50;

/**
 * A syslog receiver gives no receipts. What it was sent counts as arrived when its kernel has
 * acknowledged it and the connection is still there a while later; where the connection breaks
 * before, it is sent again. What a receiver had taken in and lost when it fell is not noticed.
 */
export class StreamTarget implements Target {
  readonly #options: StreamOptions;
  #socket: Socket | undefined;
  #sent: Sent[] = [];
  #settled: number | undefined;
  #lost: Error | undefined;

  constructor(options: StreamOptions) {
    this.#options = options;
  }

  async send(batch: Batch, signal: AbortSignal): Promise<void> {
    const { frame, timeoutMs, now } = this.#options;
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
    try {
      if (this.#lost) {
        if (this.#sent.length > 0) throw this.#lost;
        // Many hang up where nothing comes for a while; nothing was on its way.
        this.#take(this.#lost);
      }
      while (this.#sent.length >= sentMax) {
        deadline.throwIfAborted();
        await sleep(settleAgainMs);
        this.settled();
      }
      const socket = (this.#socket ??= await this.#connect(deadline));
      const bytes = Buffer.from(batch.texts.map(frame).join(''));
      await until(deadline, socket, (resolve, reject) =>
        socket.write(bytes, (error) => (error ? reject(error) : resolve())),
      );
      this.#sent.push({ to: batch.to, at: now() });
    } catch (error) {
      throw this.#take(error);
    }
  }

  settled(): number | undefined {
    const { settleMs, now, unacknowledged } = this.#options;
    if (this.#lost && this.#sent.length > 0) throw this.#take(this.#lost);
    const socket = this.#socket;
    if (socket === undefined || this.#sent.length === 0) return this.#settled;
    if (unacknowledged(socket) > 0) return this.#settled;
    const late = now() - settleMs;
    const done = this.#sent.findLastIndex(({ at }) => at <= late);
    if (done >= 0) {
      this.#settled = this.#sent[done]?.to;
      this.#sent = this.#sent.slice(done + 1);
    }
    return this.#settled;
  }

  async close(): Promise<void> {
    const socket = this.#socket;
    this.#socket = undefined;
    if (socket === undefined || this.#lost) return;
    // Who closes after having read our end has read all that came before it.
    const polite = Promise.withResolvers<boolean>();
    socket.once('close', (hadError) => polite.resolve(!hadError));
    const timer = setTimeout(() => polite.resolve(false), endMs);
    socket.end();
    const isRead = await polite.promise;
    clearTimeout(timer);
    socket.destroy();
    if (isRead) this.#settled = this.#sent.at(-1)?.to ?? this.#settled;
    this.#sent = [];
  }

  /** Whoever hears of a loss begins again with a connection of its own. */
  #take(error: unknown): unknown {
    this.#socket?.destroy();
    this.#socket = undefined;
    this.#sent = [];
    this.#settled = undefined;
    this.#lost = undefined;
    return error;
  }

  async #connect(signal: AbortSignal): Promise<Socket> {
    const { remote } = this.#options;
    this.#settled = undefined;
    this.#sent = [];
    const socket = await connected(remote, signal);
    // Nothing is awaited from there; what comes is let go.
    socket.resume();
    socket.setKeepAlive(true, 30_000);
    socket.on('error', (error) => (this.#lost ??= error));
    socket.on('end', () => (this.#lost ??= new Error('the receiver closed the connection')));
    socket.on('close', () => {
      if (this.#socket === socket) this.#lost ??= new Error('the connection was closed');
    });
    return socket;
  }
}

async function connected(remote: Remote, signal: AbortSignal): Promise<Socket> {
  if ('path' in remote) return plain(connect(remote.path), signal);
  const { host, port, tls } = remote;
  if (tls === undefined) return plain(connect(port, host), signal);
  const read = (file: string | undefined) => file && readFile(file);
  const [ca, cert, key] = await Promise.all([read(tls.ca), read(tls.cert), read(tls.key)]);
  const raw = await plain(connect(port, host), signal);
  const secured = connectTls({
    socket: raw,
    host,
    // An address is no name to ask for.
    servername: isIP(host) === 0 ? host : '',
    minVersion: 'TLSv1.2',
    // Whatever the environment says.
    rejectUnauthorized: true,
    ...(ca ? { ca } : {}),
    ...(cert && key ? { cert, key } : {}),
  });
  try {
    await until(signal, secured, (resolve) => secured.once('secureConnect', resolve));
    return secured;
  } catch (error) {
    raw.destroy();
    throw error;
  }
}

async function plain(socket: Socket, signal: AbortSignal): Promise<Socket> {
  await until(signal, socket, (resolve) => socket.once('connect', resolve));
  return socket;
}

/** One step of a connection; whatever goes wrong with it, or takes too long, is the end of it. */
async function until(
  signal: AbortSignal,
  socket: Socket,
  step: (resolve: () => void, reject: (error: Error) => void) => void,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const late = () =>
    reject(new Error(signal.reason?.name === 'TimeoutError' ? 'no answer in time' : 'stopped'));
  const closed = () => reject(new Error('the connection was closed'));
  socket.once('error', reject);
  socket.once('close', closed);
  signal.addEventListener('abort', late, { once: true });
  if (signal.aborted) late();
  else if (socket.destroyed) closed();
  else step(resolve, reject);
  try {
    await promise;
  } catch (error) {
    // So that nobody is there to throw at what is still to come.
    socket.on('error', () => undefined);
    socket.destroy();
    throw error;
  } finally {
    socket.off('error', reject);
    socket.off('close', closed);
    signal.removeEventListener('abort', late);
  }
}
