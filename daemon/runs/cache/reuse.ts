import type { Digest } from '#contract/ids.ts';
import type { Workspace } from '../../workspace/open.ts';
import type { ActionCache, Cached } from './actions.ts';
import { brokenPart } from './verify.ts';

export type Look =
  | { hit: Cached }
  /** `broken`: somebody did it, and why that does not count any more. */
  | { hit: undefined; broken?: string };

/** The result of an earlier task with the same key, where it is there and intact. */
export async function lookUp(
  deps: { actions: ActionCache; workspace: Pick<Workspace, 'layers' | 'blobs' | 'intact'> },
  action: Digest,
  signal?: AbortSignal,
): Promise<Look> {
  const hit = deps.actions.find(action);
  if (hit === undefined) return { hit };
  const broken = await brokenPart(deps, hit, signal);
  if (broken === undefined) return { hit };
  deps.actions.forget(action);
  return { hit: undefined, broken: `${hit.run}/${hit.task}: ${broken}` };
}
