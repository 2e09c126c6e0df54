import { lstat } from 'node:fs/promises';
import { connect } from 'node:net';
import { OrchestraError } from '#contract/errors.ts';
import type { Wire } from './signer-link.ts';

/**
 * Connects to a signer that runs by itself. The socket may not be one that anybody could have put
 * there or may write to; that it is the signer of this log shows in its signatures, each of which is
 * checked.
 */
export async function connectSigner(path: string): Promise<Wire> {
  const { mode, uid } = await lstat(path);
  const own = process.getuid?.() ?? 0;
  const isSocket = (mode & 0o170_000) === 0o140_000;
  if (!isSocket || (mode & 0o002) !== 0) {
    throw new OrchestraError('config.invalid', `${path} is no socket, or anybody may write to it`, {
      hint: 'the signer makes it with mode 0660',
    });
  }
  const parent = await lstat(path.replace(/\/[^/]*$/, '') || '/');
  const isOpen = (parent.mode & 0o002) !== 0 && (uid !== own || (parent.mode & 0o1000) === 0);
  if (isOpen) {
    throw new OrchestraError('config.invalid', `Anybody may put a socket beside ${path}`, {
      hint: 'give the signer a directory of its own, such as /run/orchestra-signer',
    });
  }
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once('error', reject);
    socket.once('connect', () => {
      resolve({
        input: socket,
        output: socket,
        end: () => {
          socket.destroy();
          return Promise.resolve();
        },
      });
    });
  });
}
