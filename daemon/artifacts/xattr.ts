import koffi from 'koffi';

export type Xattrs = {
  /** The value, `undefined` where it is not set or the file system has none. No link is followed. */
  get(path: string | Buffer, name: string): string | undefined;
  set(path: string | Buffer, name: string, value: string): void;
  /** True when it was there and is gone. */
  remove(path: string | Buffer, name: string): boolean;
};

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
  const value = Buffer.alloc(256);
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
    remove(path, name) {
      return lremovexattr(terminated(path), name) === 0;
    },
  };
}

function terminated(path: string | Buffer): Buffer {
  const bytes = typeof path === 'string' ? Buffer.from(path, 'utf8') : path;
  if (bytes.includes(0)) throw new TypeError('NUL in a path');
  return Buffer.concat([bytes, Buffer.alloc(1)]);
}
