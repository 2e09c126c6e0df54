import type { Socket } from 'node:net';
import type { Actor } from '#contract/records.ts';

const SOL_SOCKET = 1;
const SO_PEERCRED = 17;

export type PeerReader = {
  method: 'peer' | 'socket';
  /** Why the kernel's word is not to be had, where it is not. */
  missing: string | undefined;
  actorOf(socket: Socket): Actor;
};

/**
 * Who is calling: the kernel's own word about the process at the other end of the socket
 * (`SO_PEERCRED`, unix(7)). Where that cannot be asked, all that is known is that the caller had
 * permission to open the socket, and the record says so.
 */
export async function openPeerReader(): Promise<PeerReader> {
  try {
    const koffi = await import('koffi');
    const libc = koffi.default.load('libc.so.6');
    const getsockopt = libc.func(
      'int getsockopt(int fd, int level, int name, _Out_ int32_t *value, _Inout_ uint32_t *length)',
    );
    return {
      method: 'peer',
      missing: undefined,
      actorOf: (socket) => peerActor(socket, getsockopt) ?? { kind: 'user', auth: 'socket' },
    };
  } catch (error) {
    return {
      method: 'socket',
      missing: error instanceof Error ? error.message.slice(0, 200) : 'unknown',
      actorOf: () => ({ kind: 'user', auth: 'socket' }),
    };
  }
}

type GetSockOpt = (
  fd: number,
  level: number,
  name: number,
  value: Int32Array,
  length: Uint32Array,
) => number;

function peerActor(socket: Socket, getsockopt: GetSockOpt): Actor | undefined {
  // `_handle.fd` is Node's own business; when it is gone the weaker statement is made.
  const fd = (socket as { _handle?: { fd?: number } })._handle?.fd;
  if (fd === undefined || fd < 0) return undefined;
  const credentials = new Int32Array(3);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, credentials, new Uint32Array([12])) !== 0) {
    return undefined;
  }
  const [pid = -1, uid = -1, gid = -1] = credentials;
  if (uid < 0 || gid < 0) return undefined;
  return { kind: 'user', auth: 'peer', uid, gid, ...(pid > 0 ? { pid } : {}) };
}
