import { OrchestraError } from '#contract/errors.ts';
import type { SignerState } from '#signer/protocol.ts';
import type { LogKeys } from './keys.ts';
import type { LogTree } from './types.ts';

/** What there is to do before a signer signs the next tree. */
export type Standing =
  /** It was never told of a log. */
  | 'unknown'
  /** Its key is not on record yet. */
  | 'unrecorded'
  /** The log names its next key, and it has not moved on to it. */
  | 'rotating'
  | 'ready';

/**
 * Compares what a signer remembers with the log as it is. Throws `audit.rolled_back` where the log
 * has fewer records than were signed, `audit.broken` where it has others or another key's.
 */
export async function judge(
  state: SignerState | undefined,
  { origin, tree, keys }: { origin: string; tree: LogTree; keys: LogKeys },
): Promise<Standing> {
  const own = keys.newest;
  if (state === undefined) {
    if (own === undefined) return 'unknown';
    throw broken('the signer has lost its keys', loss);
  }
  if (state.origin !== origin) throw broken(`the signer signs for ${state.origin}`, wrongSigner);
  if (state.size > tree.size) {
    const message = `The log has lost records: ${state.size} were signed, ${tree.size} are left`;
    throw new OrchestraError('audit.rolled_back', message, { hint: loss });
  }
  if (state.size > 0) {
    const root = await tree.rootAt(state.size);
    if (root.toString('base64') !== state.root) {
      throw broken(`its first ${state.size} records are not those that were signed`);
    }
  }
  if (state.vkey === own?.vkey) return 'ready';
  const isFirst = own === undefined && state.epoch === 0 && state.size === 0;
  const isGivenUp = state.size === 0 && own !== undefined && state.lost?.vkey === own.vkey;
  if (isFirst || isGivenUp) return 'unrecorded';
  if (own !== undefined && state.pending?.vkey === own.vkey) return 'rotating';
  throw broken('the signer has a key that the log does not name', wrongSigner);
}

const loss = 'restore the newest copy; if they are gone for good: orchestra audit acknowledge-loss';
const wrongSigner = 'give orchestrad the signer of this log, or the log of this signer';

function broken(what: string, hint = 'orchestra audit verify'): OrchestraError {
  return new OrchestraError('audit.broken', `The log does not fit its signer: ${what}`, { hint });
}
