import { OrchestraError } from '#contract/errors.ts';
import { digestOf } from '../base/canonical.ts';
import { seal, type EffectivePolicy, type PolicyLayer, type PolicyLists } from './effective.ts';

/** What the layer is called that an autonomous run is judged by besides: no document of anybody. */
const layerName = 'autonomous';

export function isAutonomous({ documents }: Pick<EffectivePolicy, 'documents'>): boolean {
  return documents.some(isOwnLayer);
}

/**
 * A policy as an autonomous run has it: one layer more, which allows what the policy allows and asks
 * for every program that its user never had approved. It only takes away, like any further layer,
 * and stays with the policy however it is kept or narrowed later.
 *
 * Throws `policy.denied` where a document that judges does not say that runs may be autonomous.
 */
export function autonomously(policy: EffectivePolicy): EffectivePolicy {
  if (isAutonomous(policy)) return policy;
  const silent = policy.documents.filter(({ autonomous }) => autonomous !== true);
  if (silent.length > 0) {
    const names = silent.map(({ name }) => name).join(', ');
    throw new OrchestraError('policy.denied', `Policy ${names} allows no autonomous runs`, {
      hint: 'autonomous: allowed, in every document that judges the run',
    });
  }
  const { images, tools, argv, env, secrets, limits, provision, isolation, mounts } = policy;
  const lists: PolicyLists = {
    images,
    tools,
    argv,
    env,
    secrets,
    limits,
    provision,
    isolation,
    mounts,
  };
  const content = { name: layerName, standard: lists, profiles: [], toolsGrowth: 'ask' } as const;
  const layer: PolicyLayer = { ...content, digest: digestOf(content), autonomous: true };
  const { digest: _digest, ...same } = policy;
  // First, so that the profile that is told of a task is still the one of its own document.
  return seal({ ...same, documents: [layer, ...policy.documents] });
}

/** By what it is made of: a document may be called the same. */
function isOwnLayer({ name, autonomous, digest, standard, profiles, toolsGrowth }: PolicyLayer) {
  if (name !== layerName || autonomous !== true || toolsGrowth !== 'ask') return false;
  return digest === digestOf({ name, standard, profiles, toolsGrowth });
}
