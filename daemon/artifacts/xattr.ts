import koffi from 'koffi';

export type Xattrs = {
  /** The value, `undefined` where it is not set or the file system has none. No link is followed. */
  get(path: string | Buffer, name: string): string | undefined;
  set(path: string | Buffer, name: string, value: string): void;
  /** All names, of an open file or of what is at a path; none where the file system has none. */
  list(of: number | string | Buffer): string[];
  /** True when it was there and is gone. */
  remove(of: number | string | Buffer, name: string): boolean;
};

/** The kernel lists no more. */
const listBytesMax = 64 * 1024;

/** Extended attributes: the one thing of overlay layers that Node cannot read. */
export function openXattrs(): Xattrs {
  const libc = koffi.load('libc.so.6');
  const lgetxattr = libc.func(
    'intptr_t lgetxattr(const uint8_t *path, const char *name, _Out_ uint8_t *value, size_t size)',
  );
  const lsetxattr = libc.func(
    'int lsetxattr(const uint8_t *path, const char *name, const uint8_t *value, size_t size, int flags)',
  );
  const lremovexattr = libc.func('int lremovexattr(const uint8_t *path, const char *name)');
  const fremovexattr = libc.func('int fremovexattr(int fd, const char *name)');
  const llistxattr = libc.func(
    'intptr_t llistxattr(const uint8_t *path, _Out_ uint8_t *list, size_t size)',
  );
  const flistxattr = libc.func('intptr_t flistxattr(int fd, _Out_ uint8_t *list, size_t size)');
  const value = Buffer.alloc(256);
  const names = Buffer.alloc(listBytesMax);
  return {
    get(path, name) {
      const length = Number(lgetxattr(terminated(path), name, value, value.length));
      return length < 0 ? undefined : value.toString('latin1', 0, length);
    },
    set(path, name, text) {
      const bytes = Buffer.from(text, 'latin1');
      if (lsetxattr(terminated(path), name, bytes, bytes.length, 0) !== 0) {
        throw new Error(`${name} cannot be set (errno ${koffi.errno()})`);
      }
    },
    list(of) {
      // Most files have none, and asking for the length alone is cheap.
      const ask = (size: number) =>
        Number(
          typeof of === 'number'
            ? flistxattr(of, names, size)
            : llistxattr(terminated(of), names, size),
        );
      if (ask(0) <= 0) return [];
      const length = ask(names.length);
      if (length < 0) throw new Error(`attributes cannot be listed (errno ${koffi.errno()})`);
      return names
        .toString('latin1', 0, length)
        .split('\0')
        .filter((name) => name !== '');
    },
    remove(of, name) {
      const done = typeof of === 'number' ? fremovexattr : lremovexattr;
      return done(typeof of === 'number' ? of : terminated(of), name) === 0;
    },
  };
}

function terminated(path: string | Buffer): Buffer {
  const bytes = typeof path === 'string' ? Buffer.from(path, 'utf8') : path;
  if (bytes.includes(0)) throw new TypeError('NUL in a path');
  return Buffer.concat([bytes, Buffer.alloc(1)]);
}
