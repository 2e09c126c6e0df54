import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import path from 'node:path';
import type { OrchestraError } from '#contract/errors.ts';
import { noProof, OwnerChallenge, ownerScheme, proofMode } from '#contract/owner-proof.ts';

/**
 * What to show a daemon that cannot ask the kernel who calls: the nonce of its challenge, once the
 * file is made that only this user can make; or that there is none, where that cannot be done.
 */
export async function ownerProof(needed: OrchestraError, socketPath: string): Promise<string> {
  const said = needed.places.map(({ pointer = '', message }) => [pointer.slice(1), message]);
  const challenge = OwnerChallenge.safeParse(Object.fromEntries(said));
  if (!challenge.success) throw needed;
  const { nonce, file, time } = challenge.data;
  // Nothing is made anywhere else, whatever listens there.
  if (path.dirname(file) !== path.join(path.dirname(socketPath), 'owners')) throw needed;
  try {
    const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants;
    const flags = O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY;
    await using made = await open(file, flags, proofMode);
    await made.chmod(proofMode);
    await made.utimes(time, time);
    return `${ownerScheme} ${nonce}`;
  } catch {
    // Such as in a container that has the socket and not the directory beside it.
    return `${ownerScheme} ${noProof}`;
  }
}
