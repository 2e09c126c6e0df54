import type { Digest } from '#contract/ids.ts';
import { workspaceTarget } from '../policy/spec.ts';
import type { ReceiptFacts } from '../sandbox/receipt.ts';
import { emptyLayer, type PreparedLayer } from '../workspace/layers.ts';
import type { RunsDeps } from './deps.ts';
import type { AcceptedRun } from './open-run.ts';

/** What the receipt of a task's sandbox says that the sandbox itself does not know. */
export function receiptFacts(
  deps: Pick<RunsDeps, 'engineFacts' | 'lsm'>,
  run: Pick<AcceptedRun, 'policy' | 'image'>,
  layer: Pick<PreparedLayer, 'stack'>,
): ReceiptFacts {
  const { snapshot, ancestors } = layer.stack;
  const left = ancestors.map(({ layer }) => layer).filter((layer) => layer !== emptyLayer);
  const shown: Digest[] = [snapshot, ...left];
  return {
    policy: { name: run.policy.name, digest: run.policy.digest },
    image: { origin: run.image.origin },
    engine: deps.engineFacts,
    lsm: deps.lsm,
    layers: { [workspaceTarget]: shown },
  };
}
