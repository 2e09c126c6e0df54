/** What of the C library is called: who is at the other end of a socket, and what the accounts are. */
export type Libc = {
  getsockopt(fd: number, option: number, value: Uint32Array, bytes: Uint32Array): number;
  user(by: { uid: number } | { name: string }): Promise<Account | undefined>;
  group(by: { gid: number } | { name: string }): Promise<Account | undefined>;
  /** All groups of an account, its first one among them. */
  groupsOf(user: string, gid: number): Promise<number[]>;
};

/** Of a group, `gid` is its number and `id` the same. */
export type Account = { name: string; id: number; gid: number };

const solSocket = 1;
const bufferBytes = 64 * 1024;
const groupsMax = 65_536;

type Row = { name: string; uid?: number; gid: number };
type Done = (error: unknown, result: number) => void;
/** On a thread of its own: a directory service may take its time, or not answer at all. */
type Lookup = {
  async(
    key: number | string,
    row: object,
    buffer: Buffer,
    bytes: number,
    found: unknown[],
    done: Done,
  ): void;
};
type GroupList = {
  async(user: string, gid: number, groups: Uint32Array, count: Int32Array, done: Done): void;
};

/**
 * By koffi, which brings no build with it; rejects where it or the library is not there. Accounts are
 * asked of the library and not of files, so that those count which come from a directory service.
 */
export async function openLibc(): Promise<Libc> {
  const { default: koffi } = await import('koffi');
  const library = koffi.load('libc.so.6');
  const passwd = koffi.struct({
    name: 'char *',
    passwd: 'char *',
    uid: 'uint32_t',
    gid: 'uint32_t',
    gecos: 'char *',
    dir: 'char *',
    shell: 'char *',
  });
  const group = koffi.struct({
    name: 'char *',
    passwd: 'char *',
    gid: 'uint32_t',
    members: 'void *',
  });
  const lookup = (name: string, key: string, row: typeof passwd) =>
    library.func(name, 'int', [
      key,
      koffi.out(koffi.pointer(row)),
      koffi.out(koffi.pointer('uint8_t')),
      'size_t',
      koffi.out(koffi.pointer('void *')),
    ]) as unknown as Lookup;
  const userByUid = lookup('getpwuid_r', 'uint32_t', passwd);
  const userByName = lookup('getpwnam_r', 'str', passwd);
  const groupByGid = lookup('getgrgid_r', 'uint32_t', group);
  const groupByName = lookup('getgrnam_r', 'str', group);
  const getsockopt = library.func(
    'int getsockopt(int fd, int level, int name, _Out_ uint32_t *value, _Inout_ uint32_t *length)',
  ) as unknown as (
    fd: number,
    level: number,
    name: number,
    value: Uint32Array,
    length: Uint32Array,
  ) => number;
  const getgrouplist = library.func(
    'int getgrouplist(str user, uint32_t gid, _Out_ uint32_t *groups, _Inout_ int32_t *count)',
  ) as unknown as GroupList;
  return {
    getsockopt: (fd, option, value, bytes) => getsockopt(fd, solSocket, option, value, bytes),
    user: (by) => ('uid' in by ? rowOf(userByUid, by.uid) : rowOf(userByName, by.name)),
    group: (by) => ('gid' in by ? rowOf(groupByGid, by.gid) : rowOf(groupByName, by.name)),
    groupsOf: async (user, gid) => {
      const groups = new Uint32Array(groupsMax);
      const count = new Int32Array([groupsMax]);
      const found = await called((done) => {
        getgrouplist.async(user, gid, groups, count, done);
      });
      return found < 0 ? [gid] : [...groups.subarray(0, count[0])];
    },
  };
}

async function rowOf(lookup: Lookup, key: number | string): Promise<Account | undefined> {
  const row = {} as Row;
  const found: unknown[] = [null];
  const failed = await called((done) => {
    lookup.async(key, row, Buffer.alloc(bufferBytes), bufferBytes, found, done);
  });
  if (failed !== 0 || found[0] === null) return undefined;
  return { name: row.name, id: row.uid ?? row.gid, gid: row.gid };
}

function called(begin: (done: Done) => void): Promise<number> {
  return new Promise((resolve, reject) => {
    begin((error, result) => {
      if (error instanceof Error) reject(error);
      else resolve(result);
    });
  });
}
