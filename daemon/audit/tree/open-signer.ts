import { join } from 'node:path';
import { startSigner } from './signer-child.ts';
import { SignerLink } from './signer-link.ts';
import type { SignerPort } from './signer-port.ts';
import { connectSigner } from './signer-socket.ts';

/** The signer that runs by itself, where one is configured, or else a child of this process. */
export function openSigner(options: {
  /** A path, from `signer` in the settings. */
  socket: string | undefined;
  stateDir: string;
  /** What Node runs as the child. */
  program: string;
  onTrouble: (line: string) => void;
}): SignerPort {
  const { socket, stateDir, program, onTrouble } = options;
  return new SignerLink({
    connect: () =>
      socket === undefined
        ? startSigner({ program, stateDir: join(stateDir, 'signer'), onTrouble })
        : connectSigner(socket),
  });
}
