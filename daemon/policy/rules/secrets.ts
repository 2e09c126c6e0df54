import { taskSecretsMax } from '#contract/plan.ts';
import { SecretName } from '#contract/ids.ts';
import { quoted } from '../../base/schema-issues.ts';
import { grantsSecret } from '../secret-grants.ts';
import { secretsBytes, secretsTarget } from '../spec.ts';
import type { Rule } from './rule.ts';

/**
 * Every secret is granted by a line of the policy to this very task, and the memory file system for
 * them is there exactly when it is needed: private to the sandbox's user, and not executable.
 */
export const secrets: Rule = (spec, policy, { task }) => {
  if (!Array.isArray(spec.secrets)) return ['the secrets are not a list'];
  const reasons: string[] = [];
  if (spec.secrets.length > taskSecretsMax) reasons.push(`more than ${taskSecretsMax} secrets`);
  if (new Set(spec.secrets).size !== spec.secrets.length) reasons.push('a secret is named twice');
  for (const name of spec.secrets.slice(0, taskSecretsMax)) {
    if (!SecretName.safeParse(name).success) reasons.push(`${quoted(String(name))} is not a name`);
    else if (task === undefined || spec.labels['orchestra.task'] !== task.id) {
      reasons.push(`secret ${name} is asked for, and the task is not known`);
    } else if (task.given?.includes(name) !== true && !grantsSecret(policy.secrets, name, task)) {
      reasons.push(`secret ${name} is not granted to ${task.id} with the tool ${task.tool}`);
    }
  }
  const mount = spec.mounts.find(({ target }) => target === secretsTarget);
  // One that waits has the place for a task that will need it, and is given nothing to put there.
  const isWaiting = 'role' in spec && spec.role === 'slot';
  if (isWaiting && spec.secrets.length > 0) reasons.push('a sandbox that waits names secrets');
  if (!isWaiting && (mount !== undefined) !== spec.secrets.length > 0) {
    reasons.push(`${secretsTarget} is there exactly when there are secrets, and here it is not so`);
  }
  if (mount !== undefined && mount.kind === 'tmpfs') {
    const { owner } = mount;
    if (mount.executable) reasons.push(`${secretsTarget} is executable`);
    if (mount.sizeBytes !== secretsBytes) reasons.push(`${secretsTarget} has another size`);
    if (owner?.uid !== spec.user.uid || owner.gid !== spec.user.gid) {
      reasons.push(`${secretsTarget} does not belong to the sandbox's user`);
    }
  }
  return reasons;
};
