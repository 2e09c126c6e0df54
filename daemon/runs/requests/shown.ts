import type { Digest } from '#contract/ids.ts';
import type { PlanTask } from '#contract/plan.ts';
import type { Question, ShownApproval, ShownQuestion } from '#contract/requests.ts';
import type { GrownTool } from '#contract/tools.ts';
import { digestOf } from '../../base/canonical.ts';
import { cutText } from '../../base/text.ts';
import type { Ask, Judgement } from '../../policy/judgement.ts';
import { filterName, isLayered, type Mount, type SandboxSpec } from '../../policy/spec.ts';
import type { AcceptedRun } from '../open-run.ts';
import type { Opening } from './requests.ts';

const rulesMax = 64;
const dayMs = 24 * 3600 * 1000;
/** A run waits for people no longer than a run may take at all. */
const expiresMsMax = 24 * dayMs;

type Asked = { spec: SandboxSpec; judgement: Judgement; ask: Ask; grows?: GrownTool | undefined };

/**
 * The request for one task: everything that whoever approves is shown, which is everything that its
 * sandbox is made from except what names the run, the attempt and directories of the daemon's own.
 */
export function approvalOf(
  run: Pick<AcceptedRun, 'id' | 'planDigest' | 'policy' | 'image' | 'snapshot'>,
  task: PlanTask,
  { spec, judgement, ask, grows }: Asked,
): Opening & { shown: ShownApproval } {
  const asking = judgement.rules
    .filter(({ effect, value }) => effect === 'ask' && value === true)
    .slice(0, rulesMax);
  const terms = {
    approvals: ask.approvals,
    from: ask.from.map((list) => [...list]),
    self: ask.self,
  };
  const what = whatOf(run, task, spec);
  const growing = grows === undefined ? {} : { grows };
  return {
    ...boundOf(run, task),
    about: aboutDigest(run, task, spec),
    ...growing,
    ask: terms,
    rules: asking.map(({ document, id, digest, line }) => ({ document, id, digest, line })),
    expiresMs: Math.min(expiresMsMax, Math.max(0, ask.expiresMs)),
    shown: {
      version: 1,
      kind: 'approval',
      run: run.id,
      plan: run.planDigest,
      policy: { name: run.policy.name, digest: run.policy.digest },
      inputs: run.snapshot,
      ...what,
      rules: asking.map(({ document, id, digest, line, reason }) => {
        return { document, id, digest, line, reason: cutText(reason, 500) };
      }),
      ...growing,
      ask: terms,
    },
  };
}

/** Of everything that decides what is done, without the run, its plan, and words for people. */
export function aboutDigest(
  run: Pick<AcceptedRun, 'image'>,
  task: PlanTask,
  spec: SandboxSpec,
): Digest {
  const { task: all, sandbox } = whatOf(run, task, spec);
  const { title: _title, why: _why, ...named } = all;
  return digestOf({ task: named, sandbox });
}

function whatOf(run: Pick<AcceptedRun, 'image'>, task: PlanTask, spec: SandboxSpec) {
  return {
    task: {
      id: task.id,
      title: task.title,
      why: task.why,
      tool: task.tool,
      args: [...task.args],
      env: { ...task.env },
      needs: [...task.deps],
      side_effects: task.sideEffects === true,
    },
    sandbox: sandboxOf(run, spec),
  };
}

/** The request for a question of a task. */
export function questionOf(
  run: Pick<AcceptedRun, 'id' | 'planDigest' | 'policy' | 'snapshot'>,
  task: PlanTask,
  { name, prompt, kind, choices, default: usual }: Question,
): Opening & { shown: ShownQuestion } {
  const about = { id: task.id, title: task.title, tool: task.tool };
  const question = {
    name,
    prompt,
    kind,
    ...(choices === undefined ? {} : { choices: [...choices] }),
    ...(usual === undefined ? {} : { default: usual }),
  };
  return {
    ...boundOf(run, task),
    about: digestOf({ task: task.id, question }),
    question: { name, kind },
    expiresMs: dayMs,
    shown: {
      version: 1,
      kind: 'question',
      run: run.id,
      plan: run.planDigest,
      inputs: run.snapshot,
      task: about,
      question,
    },
  };
}

function boundOf(
  run: Pick<AcceptedRun, 'id' | 'planDigest' | 'policy' | 'snapshot'>,
  task: PlanTask,
) {
  return {
    run: run.id,
    task: task.id,
    tool: task.tool,
    plan: run.planDigest,
    policy: run.policy.digest,
    inputs: run.snapshot,
  };
}

function sandboxOf(
  { image }: Pick<AcceptedRun, 'image'>,
  spec: SandboxSpec,
): ShownApproval['sandbox'] {
  return {
    image: { reference: spec.image.reference, id: spec.image.id, origin: image.origin },
    user: `${spec.user.uid}:${spec.user.gid}`,
    runtime: spec.runtime,
    // There are no words for another one.
    network: 'none',
    command: [...spec.command],
    cwd: spec.cwd,
    env: { ...spec.env },
    secrets: [...spec.secrets],
    mounts: spec.mounts.map(mountOf),
    limits: { ...spec.limits },
    seccomp: filterName(spec.seccomp),
    apparmor: spec.apparmor ?? '',
    selinux: spec.selinux ?? '',
  };
}

/** By what it shows: where it lies on the host is the daemon's own affair and another each time. */
function mountOf(mount: Mount): ShownApproval['sandbox']['mounts'][number] {
  const { target } = mount;
  if (isLayered(mount)) return { kind: 'layers', target, readonly: false };
  if (mount.kind === 'tmpfs') {
    return { kind: 'tmpfs', target, readonly: false, bytes: mount.sizeBytes };
  }
  return { kind: mount.kind, target, readonly: true };
}
