import type { Socket } from 'node:net';

/** Bytes that went into a connection and that its other side has not acknowledged; 0 if unknown. */
export type Unacknowledged = (socket: Socket) => number;

/** SIOCOUTQ, tcp(7) and unix(7). */
const unsentBytes = 0x5411;

/** By the kernel's own word, where it can be asked; otherwise time alone has to do. */
export async function openUnacknowledged(): Promise<Unacknowledged> {
  try {
    const koffi = await import('koffi');
    const libc = koffi.default.load('libc.so.6');
    const ioctl = libc.func('int ioctl(int fd, unsigned long request, _Out_ int32_t *value)');
    return (socket) => {
      const fd = fdOf(socket);
      const bytes = new Int32Array(1);
      if (fd === undefined || ioctl(fd, unsentBytes, bytes) !== 0) return 0;
      return bytes[0] ?? 0;
    };
  } catch {
    return () => 0;
  }
}

// Node's own business; when it is gone, time alone has to do.
function fdOf(socket: Socket): number | undefined {
  const { _handle: handle } = socket as { _handle?: { fd?: number } };
  const { _parent: parent } = socket as { _parent?: { _handle?: { fd?: number } } };
  const fd = handle?.fd ?? parent?._handle?.fd;
  return fd === undefined || fd < 0 ? undefined : fd;
}
