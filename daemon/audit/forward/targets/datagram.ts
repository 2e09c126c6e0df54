import { endianness } from 'node:os';
import type { Batch, Target } from '../target.ts';

/** `/dev/log` where it takes one message at a time; unix(7). Node has no such sockets. */
export type DatagramSockets = {
  connect(path: string): number;
  /** False where the receiver has no room now. */
  send(fd: number, bytes: Buffer): boolean;
  close(fd: number): void;
};

const againMs = 20;

/** A message that the kernel took lies with the receiver. */
export class DatagramTarget implements Target {
  readonly #path: string;
  readonly #sockets: DatagramSockets;
  readonly #timeoutMs: number;
  #fd: number | undefined;

  constructor({
    path,
    sockets,
    timeoutMs,
  }: {
    path: string;
    sockets: DatagramSockets;
    timeoutMs: number;
  }) {
    this.#path = path;
    this.#sockets = sockets;
    this.#timeoutMs = timeoutMs;
  }

  async send(batch: Batch, signal: AbortSignal): Promise<void> {
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(this.#timeoutMs)]);
    try {
      const fd = (this.#fd ??= this.#sockets.connect(this.#path));
      for (const text of batch.texts) {
        const bytes = Buffer.from(text);
        while (!this.#sockets.send(fd, bytes)) {
          if (deadline.aborted) throw new Error('no room at the receiver in time');
          await new Promise((resolve) => setTimeout(resolve, againMs));
        }
      }
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  close(): Promise<void> {
    if (this.#fd !== undefined) this.#sockets.close(this.#fd);
    this.#fd = undefined;
    return Promise.resolve();
  }
}

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const EAGAIN = 11;
const ENOBUFS = 105;
const pathBytesMax = 107;

/** Through the C library; throws where it cannot be called. */
export async function openDatagramSockets(): Promise<DatagramSockets> {
  const koffi = (await import('koffi')).default;
  const libc = koffi.load('libc.so.6');
  const socket = libc.func('int socket(int domain, int type, int protocol)');
  const connect = libc.func('int connect(int fd, const uint8_t *address, uint32_t length)');
  const send = libc.func('long send(int fd, const uint8_t *bytes, size_t length, int flags)');
  const close = libc.func('int close(int fd)');
  const failed = (what: string) => new Error(`${what}: error ${koffi.errno()} of the kernel`);
  return {
    connect: (path) => {
      const name = Buffer.from(path);
      if (name.length > pathBytesMax) throw new Error(`${path} is too long for a socket`);
      // A path ends with a NUL; in the abstract namespace that would be part of the name.
      const address = Buffer.alloc((name[0] === 0 ? 2 : 3) + name.length);
      address[endianness() === 'LE' ? 0 : 1] = AF_UNIX;
      name.copy(address, 2);
      const fd = Number(socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      if (fd < 0) throw failed('socket');
      if (connect(fd, address, address.length) === 0) return fd;
      const error = failed(path);
      close(fd);
      throw error;
    },
    send: (fd, bytes) => {
      if (Number(send(fd, bytes, bytes.length, MSG_DONTWAIT | MSG_NOSIGNAL)) >= 0) return true;
      if ([EAGAIN, ENOBUFS].includes(koffi.errno())) return false;
      throw failed('send');
    },
    close: (fd) => void close(fd),
  };
}
