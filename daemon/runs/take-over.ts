import { basename, dirname } from 'node:path';
import type { Digest } from '#contract/ids.ts';
import type { BlobStore } from '../artifacts/blobs.ts';
import type { Adopted } from '../engine/engine.ts';
import { readSpec } from '../policy/kept-spec.ts';
import type { Permit } from '../policy/permit.ts';
import { isLayered, type OverlayMount, type SandboxSpec } from '../policy/spec.ts';
import { policyAgain, loadPlan } from './accept.ts';
import type { RunsDeps } from './deps.ts';
import { answerVariable } from './requests/questions.ts';
import { aboutRun } from './judging/about.ts';
import { judgeTask } from './judging/judge-task.ts';
import { grantFor } from './requests/clear.ts';
import { isUnderWay, type Released, type RunFacts, type RunStates } from './state.ts';
import { failpoint } from '../base/failpoints.ts';

/** A task that an earlier daemon let go, in a sandbox that is this daemon's now. */
export type TakenOver = {
  adopted: Adopted;
  permit: Permit;
  released: Released;
};

const specBytesMax = 1024 * 1024;

/** Tasks that were running when their daemon ended, with the sandbox that the log says each is in. */
export function leftRunning(run: RunFacts | undefined): { task: string; released: Released }[] {
  return [...(run?.tasks ?? [])].flatMap(([task, facts]) =>
    isUnderWay(facts) && facts.released !== undefined ? [{ task, released: facts.released }] : [],
  );
}

/** The directories under `l/` that such tasks may be writing to: nobody sweeps them away. */
export async function layersInUse(
  { states, open }: { states: RunStates; open: readonly string[] },
  blobs: Pick<BlobStore, 'read'>,
): Promise<Set<string>> {
  const ids = new Set<string>();
  for (const run of open) {
    for (const { released } of leftRunning(states.find(run))) {
      const spec = await specOf(blobs, released);
      for (const mount of spec?.mounts ?? []) {
        if (isLayered(mount)) ids.add(layerIdOf(mount));
      }
    }
  }
  return ids;
}

export function layerIdOf({ upper }: Pick<OverlayMount, 'upper'>): string {
  return basename(dirname(upper));
}

/**
 * Takes over what still is there of a run's sandboxes, running or over, each judged again by the
 * policy as it applies today. What cannot be taken over is nobody's, and goes with the sweep.
 */
export async function takeOver(deps: RunsDeps, run: RunFacts): Promise<Map<string, TakenOver>> {
  const taken = new Map<string, TakenOver>();
  const left = leftRunning(run);
  // What a cancelled run still does, nobody wants to know.
  if (left.length === 0 || run.policy === undefined || run.plan === undefined) return taken;
  const { policy } = await policyAgain(deps, run.policy);
  const image = await deps.images.resolve(deps.log, policy, run.id);
  // What was allowed before the daemon went is so still.
  await deps.tools.prepare(image, policy);
  const plan = await loadPlan(deps, run.plan);
  const about = await aboutRun(deps, run, { plan, planDigest: run.plan });
  const judging = { ...run, planDigest: run.plan, policy, image, about };
  for (const { task: id, released } of left) {
    const task = plan.tasks.find((each) => each.id === id);
    const spec = await specOf(deps.blobs, released);
    if (task === undefined || spec === undefined) continue;
    // What people said in confidence went with that daemon: nobody could mask it in the output.
    if (task.questions?.some(({ kind }) => kind === 'secret') === true) continue;
    const given = (task.questions ?? []).map(({ name }) => answerVariable(name));
    const told = { ...task, given };
    const { isDenied, judgement } = judgeTask(deps, judging, told, spec);
    const isAsked = judgement.effect === 'ask';
    if (isDenied || (isAsked && !grantFor(deps, judging, told, { spec, judgement }))) continue;
    const permit = deps.office.mint(spec);
    const attempt = run.tasks.get(id)?.attempt ?? 1;
    const context = { run: run.id, task: id, attempt };
    try {
      for (const mount of spec.mounts) {
        if (isLayered(mount)) await deps.workspace.layers.reopen(mount);
      }
      const adopted = await deps.engine.adopt(released.container, permit, context);
      if (adopted === undefined) continue;
      taken.set(id, { adopted, permit, released });
      failpoint('before-attempt-adopted');
      await deps.log.append({
        type: 'attempt.adopted',
        run: run.id,
        obj: { task: id, container: adopted.id },
        sev: 'notice',
        data: { attempt, found: adopted.found === 'exited' ? 'exited' : 'running' },
      });
      failpoint('after-attempt-adopted');
    } catch (error) {
      if (deps.log.blocked) throw deps.log.blocked;
      deps.logger.warn({ err: error, run: run.id, task: id }, 'a sandbox was not taken over');
    }
  }
  return taken;
}

/**
 * The layers of what was not taken over: with its sandbox gone nobody writes to them any more.
 * Answers how many there were.
 */
export async function dropUntaken(
  { workspace, blobs }: Pick<RunsDeps, 'workspace' | 'blobs'>,
  run: RunFacts,
  taken: { has(task: string): boolean },
): Promise<number> {
  let dropped = 0;
  for (const { task, released } of leftRunning(run)) {
    if (taken.has(task)) continue;
    const spec = await specOf(blobs, released);
    for (const mount of spec?.mounts ?? []) {
      if (!isLayered(mount) || (await workspace.layers.isNamed(layerIdOf(mount)))) continue;
      await workspace.layers.drop({ id: layerIdOf(mount) });
      dropped += 1;
    }
  }
  return dropped;
}

async function specOf(
  blobs: Pick<BlobStore, 'read'>,
  { spec }: Released,
): Promise<SandboxSpec | undefined> {
  try {
    const text = async (digest: Digest) =>
      (await blobs.read(digest, { maxBytes: specBytesMax })).toString('utf8');
    return await readSpec(await text(spec), text);
  } catch {
    // Without it nobody can say what the sandbox may be.
    return undefined;
  }
}
