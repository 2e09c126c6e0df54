import { OrchestraError } from '#contract/errors.ts';
import type { Digest } from '#contract/ids.ts';
import type { PolicyInput } from '../../policy/judgement.ts';
import type { EffectivePolicy } from '../../policy/effective.ts';
import { withLayers } from '../../policy/effective.ts';
import type { RunsDeps } from '../deps.ts';

type Blobs = Pick<RunsDeps, 'blobs'>;

const policyBytesMax = 16 * 1024 * 1024;
const inputBytesMax = 1024 * 1024;
const rememberedMax = 16;

/** Policies as they were, by their digest; each is read once. */
export class Policies {
  readonly #deps: Blobs;
  readonly #known = new Map<Digest, EffectivePolicy | undefined>();

  constructor(deps: Blobs) {
    this.#deps = deps;
  }

  /** Undefined where it is not kept any more. */
  async read(digest: Digest): Promise<EffectivePolicy | undefined> {
    if (this.#known.has(digest)) return this.#known.get(digest);
    const content = await kept(this.#deps, digest, policyBytesMax);
    const policy =
      content === undefined
        ? undefined
        : withLayers({ ...(content as Omit<EffectivePolicy, 'digest'>), digest });
    const [oldest] = this.#known.keys();
    if (this.#known.size >= rememberedMax && oldest !== undefined) this.#known.delete(oldest);
    this.#known.set(digest, policy);
    return policy;
  }
}

/** What a decision looked at, or undefined where it is not kept any more. */
export async function keptInput(deps: Blobs, digest: Digest): Promise<PolicyInput | undefined> {
  return (await kept(deps, digest, inputBytesMax)) as PolicyInput | undefined;
}

async function kept({ blobs }: Blobs, digest: Digest, maxBytes: number): Promise<unknown> {
  try {
    return JSON.parse((await blobs.read(digest, { maxBytes })).toString('utf8'));
  } catch (error) {
    const lost: readonly string[] = ['blob.unknown', 'blob.damaged'];
    if (error instanceof OrchestraError && lost.includes(error.code)) return undefined;
    throw error;
  }
}
