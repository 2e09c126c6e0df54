import { constants } from 'node:fs';
import koffi from 'koffi';

/** Makes the kernel's mark for "deleted", which Node has no call for. */
export type MakeWhiteout = (path: string | Buffer) => void;

export function openWhiteouts(): MakeWhiteout {
  const libc = koffi.load('libc.so.6');
  const mknodat = libc.func(
    'int mknodat(int fd, const uint8_t *path, uint32_t mode, uint64_t device)',
  );
  return (path) => {
    const bytes = typeof path === 'string' ? Buffer.from(path) : path;
    if (bytes.includes(0)) throw new TypeError('NUL in a path');
    const terminated = Buffer.concat([bytes, Buffer.alloc(1)]);
    // The descriptor is not looked at, because the path is absolute.
    if (mknodat(-1, terminated, constants.S_IFCHR, 0) !== 0) {
      throw new Error(`a whiteout cannot be made (errno ${koffi.errno()})`);
    }
  };
}
