import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { OrchestraError } from '#contract/errors.ts';
import type { Accounts } from '../access/accounts.ts';
import type { CallerReader, Identity } from '../access/caller.ts';
import type { Libc } from '../access/libc.ts';

// unix(7), socket(7)
const SO_PEERCRED = 17;
const SO_PEERGROUPS = 59;
const groupsMax = 65_536;

type PeerOptions = { libc: Pick<Libc, 'getsockopt'>; accounts: Accounts };

/**
 * Who is calling: the kernel's own word about the process at the other end of a unix socket, from
 * when it connected. Nothing that it sends can change that.
 */
export function peerReader({ libc, accounts }: PeerOptions): CallerReader {
  const known = new WeakMap<Socket, Promise<Identity | undefined>>();
  return {
    proof: 'peer',
    missing: undefined,
    read: (incoming) => {
      refuseToken(incoming);
      const { socket } = incoming;
      const before = known.get(socket);
      if (before !== undefined) return before;
      const found = identify(socket, libc, accounts);
      known.set(socket, found);
      return found;
    },
  };
}

/** All that is known is that the caller had permission to open the socket, and the record says so. */
export function socketReader(missing: string | undefined): CallerReader {
  return {
    proof: 'socket',
    missing,
    read: (incoming) => {
      refuseToken(incoming);
      return Promise.resolve({ auth: 'socket' });
    },
  };
}

async function identify(
  socket: Socket,
  libc: PeerOptions['libc'],
  accounts: Accounts,
): Promise<Identity | undefined> {
  // `_handle.fd` is Node's own business; when it is gone the weaker statement is made.
  const fd = (socket as { _handle?: { fd?: number } })._handle?.fd;
  if (fd === undefined || fd < 0) return undefined;
  const credentials = new Uint32Array(3);
  if (libc.getsockopt(fd, SO_PEERCRED, credentials, new Uint32Array([12])) !== 0) return undefined;
  const [pid = 0, uid = nobody, gid = nobody] = credentials;
  if (uid === nobody || gid === nobody) return undefined;
  const gids = [...new Set([gid, ...(groupsAt(fd, libc) ?? (await accounts.gidsOf(uid)))])];
  const user = await accounts.userName(uid);
  return {
    auth: 'peer',
    uid,
    gid,
    gids,
    groups: await Promise.all(gids.map((each) => accounts.groupName(each))),
    ...(user === undefined ? {} : { user }),
    ...(pid > 0 ? { pid } : {}),
  };
}

// What the kernel answers for a number that its caller's namespace does not have, or for no peer.
const nobody = 0xffff_ffff;

/** None from a kernel that does not tell (before 4.13). */
function groupsAt(fd: number, libc: PeerOptions['libc']): number[] | undefined {
  for (const room of [64, groupsMax]) {
    const groups = new Uint32Array(room);
    const bytes = new Uint32Array([room * 4]);
    if (libc.getsockopt(fd, SO_PEERGROUPS, groups, bytes) === 0) {
      return [...groups.subarray(0, (bytes[0] ?? 0) / 4)];
    }
  }
  return undefined;
}

/** The kernel's word counts here. Whoever shows a token as well expects something else. */
function refuseToken({ headers }: IncomingMessage): void {
  if (headers.authorization?.toLowerCase().startsWith('bearer ') !== true) return;
  throw new OrchestraError('access.denied', 'A token says nothing on this socket', {
    hint: 'tokens are for https; here the kernel says who calls: orchestra whoami',
  });
}
