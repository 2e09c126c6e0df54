import koffi from 'koffi';

const AF_UNIX = 1;
const SOCK_DGRAM_CLOEXEC_NONBLOCK = 2 | 0o2000000 | 0o4000;

/** A unix socket for datagrams, as a service manager holds one: Node has none. */
export function bindDatagrams(address: string) {
  const libc = koffi.load('libc.so.6');
  const socket = libc.func('int socket(int domain, int type, int protocol)');
  const bind = libc.func('int bind(int fd, const uint8_t *address, uint32_t length)');
  const recv = libc.func('long recv(int fd, _Out_ uint8_t *bytes, size_t length, int flags)');
  const close = libc.func('int close(int fd)');
  const fd = Number(socket(AF_UNIX, SOCK_DGRAM_CLOEXEC_NONBLOCK, 0));
  const name = Buffer.concat([Buffer.from([AF_UNIX, 0]), Buffer.from(address.replace(/^@/, '\0'))]);
  if (bind(fd, name, name.length) !== 0) throw new Error(`bind: ${koffi.errno()}`);
  return {
    /** The next message, undefined where none is there. */
    next: (): string | undefined => {
      const bytes = Buffer.alloc(4096);
      const length = Number(recv(fd, bytes, bytes.length, 0));
      return length < 0 ? undefined : bytes.toString('utf8', 0, length);
    },
    [Symbol.dispose]: () => void close(fd),
  };
}
