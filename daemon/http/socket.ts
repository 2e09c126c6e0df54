import { chmod, lstat, mkdir, rm, stat } from 'node:fs/promises';
import { connect, type Server } from 'node:net';
import { dirname } from 'node:path';
import { OrchestraError } from '#contract/errors.ts';

// sun_path has 108 bytes with its NUL, unix(7).
const pathBytesMax = 107;

/**
 * Listens on a unix socket of mode 0660 in a directory that nobody else may write to. A socket
 * that a crash left behind is taken over; one that answers, or anything that is not a socket, is
 * left alone and refused.
 */
export async function listenOn(server: Server, path: string): Promise<void> {
  if (Buffer.byteLength(path) > pathBytesMax) {
    throw new OrchestraError(
      'config.invalid',
      `The socket path is longer than ${pathBytesMax} bytes`,
      { hint: 'choose a shorter one with --socket' },
    );
  }
  await mkdir(dirname(path), { recursive: true, mode: 0o755 });
  await refuseOpenDirectory(dirname(path));
  await clearStale(path);
  // The socket is made with this mask, so there is no moment at which others may connect.
  const mask = process.umask(0o117);
  try {
    await listening(server, path);
  } finally {
    process.umask(mask);
  }
  await chmod(path, 0o660);
}

async function refuseOpenDirectory(directory: string): Promise<void> {
  const { mode } = await stat(directory);
  if ((mode & 0o002) === 0) return;
  throw new OrchestraError('config.invalid', `Everybody may write to ${directory}`, {
    hint: `put the socket into a directory of its own, or: chmod o-w ${directory}`,
  });
}

async function clearStale(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (!found) return;
  if (!found.isSocket()) {
    throw new OrchestraError('config.invalid', `${path} is there and is not a socket`, {
      hint: 'choose another path with --socket',
    });
  }
  if (await answers(path)) {
    throw new OrchestraError('config.invalid', `Another daemon answers on ${path}`, {
      hint: 'stop it first, or choose another path with --socket',
    });
  }
  await rm(path, { force: true });
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const settle = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(2_000, () => settle(true));
    socket.once('connect', () => settle(true));
    socket.once('error', () => settle(false));
  });
}

function listening(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => {
      server.off('error', reject);
      resolve();
    });
  });
}
