import { OrchestraError } from '#contract/errors.ts';
import type { Digest } from '#contract/ids.ts';
import type { Actor, AnyRecord } from '#contract/records.ts';
import type { ImageDescription } from '#setup/image/description.ts';
import type { Log } from '../audit/types.ts';
import type { Engine, ImageFacts } from '../engine/engine.ts';
import type { EffectivePolicy } from '../policy/effective.ts';

export type ResolvedImage = {
  reference: string;
  id: Digest;
  origin: 'pulled' | 'assembled';
  libc: 'musl' | 'glibc';
  arch: string;
  tools: readonly string[];
};

export type ImageRow = {
  reference: string;
  pinned?: Digest | undefined;
  present?: Digest | undefined;
  origin?: string | undefined;
};

/** Which digest each reference was first resolved or last pinned to: a fold over the log. */
export class ImagePins {
  readonly #pins = new Map<string, { id: Digest; seq: number }>();

  /** One that is said again, because its record was pruned, does not undo a newer one. */
  fold(record: AnyRecord): void {
    if (record.type !== 'image.resolved') return;
    const { reference, id } = record.data;
    if ((this.#pins.get(reference)?.seq ?? -1) > record.seq) return;
    this.#pins.set(reference, { id, seq: record.seq });
  }

  get(reference: string): Digest | undefined {
    return this.#pins.get(reference)?.id;
  }
}

/**
 * Which image a reference means. The first answer of the engine is pinned by a record of the log;
 * another digest later is refused until somebody pins it by name.
 */
export class Images {
  readonly #engine: Engine;
  readonly #descriptions: readonly ImageDescription[];
  readonly #pins: ImagePins;

  constructor(engine: Engine, descriptions: readonly ImageDescription[], pins: ImagePins) {
    this.#engine = engine;
    this.#descriptions = descriptions;
    this.#pins = pins;
  }

  /** The first image of the policy; records the pin when there is none yet. */
  async resolve(log: Log, policy: EffectivePolicy, run?: string): Promise<ResolvedImage> {
    const allowed = policy.images[0];
    if (!allowed) throw new OrchestraError('policy.denied', `${policy.name} allows no image`);
    const { reference } = allowed;
    const found = await this.#find(reference);
    // A digest in the policy comes on top of the pin: no run may widen what was once resolved.
    const other = [this.#pins.get(reference), allowed.digest].find(
      (digest) => digest !== undefined && digest !== 'pinned' && digest !== found.id,
    );
    const refusal = this.#refusal(found, other, allowed.origins);
    if (refusal) {
      await log.append({
        type: 'image.refused',
        run,
        outcome: 'denied',
        sev: 'alert',
        data: { reference, reason: refusal.message },
      });
      throw refusal;
    }
    if (this.#pins.get(reference) === undefined)
      await this.#record(log, found, run === undefined ? {} : { run });
    return found;
  }

  /** Pins a reference to what the engine has now, whatever it was before. */
  async pin(log: Log, reference: string, actor: Actor): Promise<{ reference: string; id: Digest }> {
    const found = await this.#find(reference);
    await this.#record(log, found, { actor });
    return { reference, id: found.id };
  }

  async list(): Promise<ImageRow[]> {
    return Promise.all(
      this.#descriptions.map(async ({ reference }) => {
        const found = await this.#find(reference).catch(() => undefined);
        return {
          reference,
          pinned: this.#pins.get(reference),
          present: found?.id,
          origin: found?.origin,
        };
      }),
    );
  }

  #refusal(
    found: ResolvedImage,
    other: Digest | undefined,
    origins: readonly string[],
  ): OrchestraError | undefined {
    if (other !== undefined) {
      return new OrchestraError(
        'image.changed',
        `${found.reference} is ${found.id} now and was pinned to ${other}`,
        { hint: `orchestra image pin ${found.reference}   after you know why it changed` },
      );
    }
    if (origins.includes(found.origin)) return undefined;
    return new OrchestraError('policy.denied', `The policy allows no ${found.origin} image`, {
      hint: 'name another origin under images in the policy',
    });
  }

  async #record(
    log: Log,
    image: ResolvedImage,
    by: { run?: string; actor?: Actor },
  ): Promise<void> {
    const { reference, id, origin, arch } = image;
    await log.append({
      type: 'image.resolved',
      ...by,
      data: { reference, id, origin, platform: `linux/${arch}` },
    });
  }

  async #find(reference: string): Promise<ResolvedImage> {
    const description = this.#descriptions.find((each) => each.reference === reference);
    if (!description) {
      throw new OrchestraError('image.unknown', `No image is described for ${reference}`, {
        hint: `known: ${this.#descriptions.map((each) => each.reference).join(', ')}`,
      });
    }
    const facts =
      (await this.#engine.findImage(reference)) ??
      (await this.#engine.findImage(description.fallback));
    if (!facts) {
      throw new OrchestraError('image.unknown', `The engine has no image ${reference}`, {
        hint: 'orchestra image build',
      });
    }
    return describe(reference, facts, description);
  }
}

function describe(
  reference: string,
  facts: ImageFacts,
  description: ImageDescription,
): ResolvedImage {
  const origin = facts.labels['orchestra.image.origin'] === 'assembled' ? 'assembled' : 'pulled';
  return {
    reference,
    id: facts.id,
    origin,
    libc: description.libc[origin],
    arch: facts.arch,
    tools: [...description.tools, ...description.applets],
  };
}
