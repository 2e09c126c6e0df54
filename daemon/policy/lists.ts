import { formatLimit, limitNames, limitWords, type Limits } from '#contract/limits.ts';
import { fixedValue, isReserved } from '../tools/environment.ts';
import { findTool } from '../tools/index.ts';
import { allowsArgv } from './argv.ts';
import type { Reason } from './decide.ts';
import type { PolicyLists } from './effective.ts';
import { allowsName } from './env-pattern.ts';
import { grantsSecret } from './secret-grants.ts';

/** Of a task, what the lists of a policy speak of. */
export type ListedTask = {
  id: string;
  tool: string;
  args: readonly string[];
  env: Readonly<Record<string, string>>;
  secrets: readonly string[];
  limits: Limits;
};

/** Every reason why the lists do not allow a task; what its sandbox comes to is judged later. */
export function againstLists(task: ListedTask, lists: PolicyLists): Reason[] {
  const reasons: Reason[] = [];
  const add = (rule: string, message: string) => reasons.push({ rule, message, task: task.id });
  const tool = findTool(task.tool);
  if (tool === undefined || !lists.tools.includes(task.tool)) {
    add('tools', `tool ${task.tool} is not allowed`);
  } else {
    for (const message of tool.judge(task.args)) add('arguments', message);
    if (!allowsArgv(lists.argv, task)) {
      add('arguments', `these arguments of ${task.tool} are not on the list`);
    }
    if (tool.provisions(task.args).length > 0) {
      if (lists.provision.registries.length === 0) {
        add('provision', 'packages are needed, and no registry is allowed');
      }
      if (!lists.mounts.includes('packages')) {
        add('mounts', 'packages are needed, and they may not be mounted');
      }
    }
  }
  for (const [name, value] of Object.entries(task.env)) {
    const fixed = fixedValue(name);
    if (fixed !== undefined ? value === fixed : !isReserved(name) && allowsName(lists.env, name))
      continue;
    add('environment', `${name} is not on the list of names`);
  }
  for (const name of task.secrets) {
    if (!grantsSecret(lists.secrets, name, task)) {
      add('secrets', `secret ${name} is not granted to ${task.id} with the tool ${task.tool}`);
    } else if (!lists.mounts.includes('secrets')) {
      add('mounts', `secret ${name} is needed, and secrets may not be mounted`);
    }
  }
  for (const name of limitNames) {
    const [value, max] = [task.limits[name], lists.limits[name]];
    if (Number.isSafeInteger(value) && value >= 1 && value <= max) continue;
    add(
      'limits',
      `${limitWords[name]}: ${formatLimit(name, value)} is above ${formatLimit(name, max)}`,
    );
  }
  return reasons;
}
