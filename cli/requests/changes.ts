import type { ShownApproval } from '#contract/requests.ts';
import { quoted } from '../commands/plan.ts';

export type Change = { what: string; was: string; is: string };

/** What is another than when the same task was approved before, in the order of what matters. */
export function changesSince(before: ShownApproval, now: ShownApproval): Change[] {
  return facets.flatMap(([what, of]) => {
    const [was, is] = [of(before), of(now)];
    return was === is ? [] : [{ what, was, is }];
  });
}

const facets: readonly [string, (shown: ShownApproval) => string][] = [
  ['command', ({ sandbox }) => sandbox.command.map(quoted).join(' ')],
  ['directory', ({ sandbox }) => sandbox.cwd],
  ['variables', ({ sandbox }) => pairs(sandbox.env)],
  ['secrets', ({ sandbox }) => sandbox.secrets.join(', ')],
  ['image', ({ sandbox: { image } }) => `${image.reference} ${image.id} ${image.origin}`],
  ['user', ({ sandbox }) => sandbox.user],
  ['runtime', ({ sandbox }) => sandbox.runtime],
  ['mounts', ({ sandbox }) => sandbox.mounts.map((mount) => pairs(mount)).join('; ')],
  ['limits', ({ sandbox }) => pairs(sandbox.limits)],
  ['walls', ({ sandbox: { seccomp, apparmor, selinux } }) => pairs({ seccomp, apparmor, selinux })],
  ['effects', ({ task }) => String(task.side_effects)],
  ['needs', ({ task }) => task.needs.join(', ')],
  ['inputs', ({ inputs }) => inputs],
  ['policy', ({ policy }) => `${policy.name} ${policy.digest}`],
];

function pairs(values: Readonly<Record<string, unknown>>): string {
  return Object.entries(values)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${String(value)}`)
    .join(' ');
}
