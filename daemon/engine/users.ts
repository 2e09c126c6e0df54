import { readFile, readlink } from 'node:fs/promises';
import type { EngineFacts } from './engine.ts';

type Ids = { uid: number; gid: number };

/**
 * Whom root of a container is on the machine of an engine that maps users: its data lies in a
 * directory that is named after them, which is all that it says about it. Believed by nobody:
 * `notMapped` reads of each sandbox what the kernel made of it.
 */
export function usersFrom(dataRoot: string): Pick<EngineFacts, 'usersFrom'> {
  const [, uid, gid] = /\/([1-9]\d{0,9})\.([1-9]\d{0,9})$/.exec(dataRoot) ?? [];
  if (uid === undefined || gid === undefined) return {};
  return { usersFrom: { uid: Number(uid), gid: Number(gid) } };
}

/** Whom the files of a sandbox's user belong to on this machine, and whom its processes run as. */
export function onThisMachine(
  { uid, gid }: Ids,
  { usersFrom: from }: Pick<EngineFacts, 'usersFrom'>,
): Ids {
  return { uid: uid + (from?.uid ?? 0), gid: gid + (from?.gid ?? 0) };
}

/**
 * Where the users of a sandbox are not those of the machine from `from` on, one line each
 * (user_namespaces(7)): in no user namespace of its own, or root of it somebody else than was said,
 * or somebody of it root of the machine.
 */
export async function notMapped(pid: number, from: Ids): Promise<string[]> {
  const [own, its, users, groups] = await Promise.all([
    readlink('/proc/self/ns/user'),
    readlink(`/proc/${pid}/ns/user`),
    readFile(`/proc/${pid}/uid_map`, 'latin1'),
    readFile(`/proc/${pid}/gid_map`, 'latin1'),
  ]);
  return [
    ...(own === its ? ["namespace user: the host's own"] : []),
    ...wrongIn('uid_map', users, from.uid),
    ...wrongIn('gid_map', groups, from.gid),
  ];
}

/** Lines of three numbers: the first one inside, the first one outside, how many. */
function wrongIn(name: string, map: string, root: number): string[] {
  const ranges = map
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number));
  const isRight =
    ranges.some(([inside, outside]) => inside === 0 && outside === root) &&
    ranges.every(([, outside]) => outside !== undefined && outside > 0);
  return isRight
    ? []
    : [`${name}: the kernel says ${map.trim().replaceAll(/\s+/g, ' ').slice(0, 200)}`];
}
