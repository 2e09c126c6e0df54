import { readFileSync } from 'node:fs';
import type { Account, Libc } from './libc.ts';

export type Accounts = {
  /** The names of numbers; `gid:N` where a group has none. */
  userName(uid: number): Promise<string | undefined>;
  groupName(gid: number): Promise<string>;
  uidOf(user: string): Promise<number | undefined>;
  gidOf(group: string): Promise<number | undefined>;
  /** All groups that an account is in by now, its first one first; none of one that is not there. */
  gidsOf(uid: number): Promise<number[]>;
};

type Source = Pick<Libc, 'user' | 'group' | 'groupsOf'>;

const keptMs = 30_000;
const keptMax = 4096;

/** The accounts of this machine, each asked about once in half a minute at most. */
export function openAccounts(libc: Libc | undefined, now: () => number): Accounts {
  const source = libc ?? fromFiles();
  const users = remembering((uid: number) => source.user({ uid }), now);
  const groups = remembering(async (gid: number) => (await source.group({ gid }))?.name, now);
  return {
    userName: async (uid) => (await users(uid))?.name,
    groupName: async (gid) => (await groups(gid)) ?? `gid:${gid}`,
    uidOf: async (name) => (await source.user({ name }))?.id,
    gidOf: async (name) => (await source.group({ name }))?.gid,
    gidsOf: remembering(async (uid: number) => {
      const user = await users(uid);
      if (user === undefined) return [];
      const all = await source.groupsOf(user.name, user.gid);
      return [user.gid, ...all.filter((gid) => gid !== user.gid)];
    }, now),
  };
}

/** What failed is asked again. */
function remembering<T>(
  ask: (id: number) => Promise<T>,
  now: () => number,
): (id: number) => Promise<T> {
  const known = new Map<number, { value: Promise<T>; until: number }>();
  return (id) => {
    const before = known.get(id);
    if (before !== undefined && before.until > now()) return before.value;
    const value = ask(id);
    value.catch(() => known.delete(id));
    if (known.size >= keptMax) known.clear();
    known.set(id, { value, until: now() + keptMs });
    return value;
  };
}

/** Where the library cannot be called: the machine's own lists, read anew each time. */
export function fromFiles(passwd = '/etc/passwd', groupFile = '/etc/group'): Source {
  const users = () => rowsOf(passwd).flatMap((row): Account[] => accountOf(row, row[3]));
  const groups = () => rowsOf(groupFile);
  return {
    user: (by) =>
      Promise.resolve(
        users().find(({ id, name }) => ('uid' in by ? id === by.uid : name === by.name)),
      ),
    group: (by) =>
      Promise.resolve(
        groups()
          .flatMap((row): Account[] => accountOf(row, row[2]))
          .find(({ id, name }) => ('gid' in by ? id === by.gid : name === by.name)),
      ),
    groupsOf: (user, gid) =>
      Promise.resolve([
        gid,
        ...groups()
          .filter((row) => row[3]?.split(',').includes(user) === true)
          .flatMap((row) => accountOf(row, row[2]).map(({ id }) => id)),
      ]),
  };
}

function rowsOf(file: string): string[][] {
  try {
    return readFileSync(file, 'utf8')
      .split('\n')
      .map((line) => line.split(':'));
  } catch {
    return [];
  }
}

function accountOf([name, , id]: string[], gid: string | undefined): Account[] {
  const isNumber = (text: string | undefined) => /^\d{1,10}$/.test(text ?? '');
  if (name === undefined || !isNumber(id) || !isNumber(gid)) return [];
  return [{ name, id: Number(id), gid: Number(gid) }];
}
