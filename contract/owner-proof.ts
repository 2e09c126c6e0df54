import { z } from 'zod';

/**
 * How a caller proves who he is where the daemon cannot ask the kernel: he makes a file of the name
 * and with the times that the daemon says, which only the owner of a file can, and shows the nonce
 * with every call from then on.
 *
 * The daemon answers 401 `auth.needed`, whose `errors` carry the challenge: `/nonce`, `/file`, `/time`.
 */
export const ownerScheme = 'Orchestra-Owner';
/** Shown in place of a nonce by whoever cannot make the file: he is nobody in particular then. */
export const noProof = 'none';
export const proofMode = 0o600;

export const OwnerChallenge = z.strictObject({
  nonce: z.string().regex(/^[\w-]{1,64}\.[0-9a-z]{1,12}\.[\w-]{1,64}$/),
  /** Absolute; to be made anew, empty, with the mode 0600. */
  file: z.string().regex(/^\/[^\0]*\/own-[0-9a-f]{32}$/),
  /** Seconds since 1970: what its times have to be set to. */
  time: z.coerce.number().int().min(0).max(0x7fff_ffff),
});
export type OwnerChallenge = z.infer<typeof OwnerChallenge>;
