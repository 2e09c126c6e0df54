import { parsePolicy, type Policy } from './policy.ts';
import { parseSignedCheckpoint, type SignedCheckpoint } from './tlog/checkpoint.ts';
import { parseVkey, type VerifierKey } from './tlog/note.ts';

/** What somebody brings along from outside of what is to be checked. */
export type TrustOptions = {
  /** Keys of the log, as vkeys: of any of its epochs. */
  keys?: readonly string[] | undefined;
  /** Checkpoints of the log that were kept elsewhere, as notes. */
  checkpoints?: readonly (Uint8Array | string)[] | undefined;
  /** The bytes of a policy: see `policy.ts`. */
  policy?: Uint8Array | string | undefined;
};

export type Trust = {
  keys: VerifierKey[];
  outside: SignedCheckpoint[];
  policy: Policy | undefined;
};

/** The same, read; or why it cannot be. */
export function readTrust({ keys = [], checkpoints = [], policy }: TrustOptions): Trust | string {
  const trust: Trust = { keys: [], outside: [], policy: undefined };
  for (const vkey of keys) {
    const key = parseVkey(vkey);
    if (key?.kind !== 'ed25519') return 'a key that was given is none';
    trust.keys.push(key);
  }
  for (const note of checkpoints) {
    const checkpoint = parseSignedCheckpoint(note);
    if (checkpoint === undefined) return 'a checkpoint that was given is none';
    trust.outside.push(checkpoint);
  }
  if (policy !== undefined) {
    const parsed = parsePolicy(Buffer.from(policy));
    if (typeof parsed === 'string') return `the policy that was given is none: ${parsed}`;
    trust.policy = parsed;
    trust.keys.push(...parsed.logs);
  }
  return trust;
}
