import { dirname, join } from 'node:path';
import type { Accounts } from '../access/accounts.ts';
import type { CallerReader } from '../access/caller.ts';
import type { Libc } from '../access/libc.ts';
import { peerReader, socketReader } from './identity.ts';
import { ownerReader } from './owner-proof.ts';

export type SocketReaderOptions = {
  /** None where the library cannot be called, and why. */
  libc: Libc | undefined;
  missing?: string | undefined;
  accounts: Accounts;
  socket: string;
  now: () => number;
  /** The strongest proof to ask for; the strongest there is if left out. */
  proof?: 'peer' | 'owner' | 'socket' | undefined;
};

/** Who calls on a unix socket: the kernel's word; without it the owner of a file; else anybody. */
export async function socketReaders(options: SocketReaderOptions): Promise<CallerReader[]> {
  const { libc, accounts, socket, now, proof = 'peer' } = options;
  const missing =
    proof === 'peer' ? options.missing : 'the configuration asks for no more (identity)';
  if (proof === 'socket') return [socketReader(missing)];
  if (proof === 'peer' && libc !== undefined) {
    return [peerReader({ libc, accounts }), socketReader('the kernel did not say')];
  }
  const directory = join(dirname(socket), 'owners');
  return [await ownerReader({ directory, accounts, now, missing }), socketReader(missing)];
}
