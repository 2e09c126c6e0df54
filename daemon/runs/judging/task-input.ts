import type { PlanTask } from '#contract/plan.ts';
import { cutText } from '../../base/text.ts';
import { recordedLimits } from '../../engine/recorded.ts';
import type { EffectivePolicy } from '../../policy/effective.ts';
import { textMax, type PolicyInput } from '../../policy/input.ts';
import { filterName, type Mount, type SandboxSpec } from '../../policy/spec.ts';
import type { RunsDeps } from '../deps.ts';
import type { AcceptedRun } from '../open-run.ts';
import { withoutGiven } from '../requests/given.ts';
import { approvalOf } from '../requests/shown.ts';

/** Of a run, what its tasks are judged with. */
export type Judging = Pick<AcceptedRun, 'policy' | 'image' | 'about'>;

/** A task and its sandbox as conditions look at them. */
export function inputOf(
  deps: Pick<RunsDeps, 'states' | 'durations' | 'requests' | 'tools' | 'policies'>,
  { policy, image, about }: Judging,
  task: PlanTask,
  spec: SandboxSpec,
): PolicyInput {
  const { uid } = about.actor;
  return {
    actor: about.actor,
    run: about.run,
    task: taskPart(task),
    spec: {
      // The judge says it, of each document.
      profile: '',
      image: { reference: spec.image.reference, digest: spec.image.id, origin: image.origin },
      runtime: spec.runtime,
      uid: spec.user.uid,
      gid: spec.user.gid,
      command: spec.command.map(text),
      mounts: spec.mounts.map(mountPart),
      seccomp: filterName(spec.seccomp),
      apparmor: spec.apparmor ?? '',
      selinux: spec.selinux ?? '',
    },
    history: {
      runs_today: about.runsToday,
      task: pastOf(deps, { policy, about }, task),
      approved_before:
        deps.policies.looksAt(policy, 'approved_before') &&
        wasApproved(deps, { policy, image, about }, task, spec),
      tool_allowed: deps.tools.isAllowed(uid === -1 ? undefined : uid, spec),
    },
  };
}

/** Before there is a sandbox: enough to choose a profile by, which looks at nothing else. */
export function listsFor(
  { policies }: Pick<RunsDeps, 'policies'>,
  { policy, about }: Pick<Judging, 'policy' | 'about'>,
  task: PlanTask,
): EffectivePolicy {
  if (policy.documents.every(({ profiles }) => profiles.length === 0)) return policy;
  return policies.listsFor(policy, {
    actor: about.actor,
    run: about.run,
    task: taskPart(task),
    spec: noSpec,
    history: noHistory,
  });
}

const noSpec: PolicyInput['spec'] = {
  profile: '',
  image: { reference: '', digest: '', origin: '' },
  runtime: '',
  uid: 0,
  gid: 0,
  command: [],
  mounts: [],
  seccomp: '',
  apparmor: '',
  selinux: '',
};

const noHistory: PolicyInput['history'] = {
  runs_today: 0,
  task: { succeeded: 0, failed: 0, seconds_p50: 0 },
  approved_before: false,
  tool_allowed: false,
};

/** As the plan has it: what people said since is their own word and on no list. */
function taskPart(given: PlanTask): PolicyInput['task'] {
  const task = withoutGiven(given);
  return {
    id: task.id,
    tool: task.tool,
    args: task.args.map(text),
    env: Object.fromEntries(Object.entries(task.env).map(([name, value]) => [name, text(value)])),
    secrets: task.secrets,
    limits: recordedLimits(task.limits),
    side_effects: task.sideEffects === true,
    needs: task.deps,
    provisions: task.provisions,
    cwd: text(task.cwd),
  };
}

function text(value: string): string {
  return cutText(value, textMax);
}

function mountPart(mount: Mount): PolicyInput['spec']['mounts'][number] {
  const readonly = mount.kind === 'bind' || mount.kind === 'door';
  return { kind: mount.kind, target: mount.target, readonly };
}

/** Of tasks of that name in workspaces of that name; nobody counts where no rule looks at it. */
function pastOf(
  { states, durations, policies }: Pick<RunsDeps, 'states' | 'durations' | 'policies'>,
  { policy, about }: Pick<Judging, 'policy' | 'about'>,
  task: PlanTask,
): PolicyInput['history']['task'] {
  if (!policies.looksAt(policy, 'history.task')) return noHistory.task;
  let [succeeded, failed] = [0, 0];
  for (const { workspace, tasks } of states.all()) {
    if (!isIn(workspace, about.run.workspace.name)) continue;
    const state = tasks.get(task.id)?.state;
    if (state === 'succeeded') succeeded += 1;
    if (state === 'failed' || state === 'timed_out') failed += 1;
  }
  const p50 = durations.knows(task) ? Math.ceil(durations.p50(task) / 1000) : 0;
  return { succeeded, failed, seconds_p50: p50 };
}

function isIn(workspace: string, name: string): boolean {
  return workspace === name || workspace.endsWith(`/${name}`);
}

function wasApproved(
  { requests }: Pick<RunsDeps, 'requests'>,
  { policy, image, about }: Judging,
  task: PlanTask,
  spec: SandboxSpec,
): boolean {
  const { id, plan } = about.run;
  const run = { id, planDigest: plan, snapshot: plan };
  const ask = { approvals: 1, from: [], self: true, expiresMs: 0 };
  const judgement = { effect: 'ask' as const, profile: '', profiles: [], rules: [], deciding: [] };
  const shown = approvalOf({ ...run, policy, image }, task, { spec, judgement, ask });
  return requests.states
    .all()
    .some((one) => one.about === shown.about && one.state === 'granted' && one.run !== id);
}
