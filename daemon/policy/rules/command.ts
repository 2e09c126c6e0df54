import { workspaceTarget } from '../spec.ts';
import type { Rule } from './rule.ts';

const bytesMax = 128 * 1024;

/** There is a command, and it starts in the workspace. */
export const command: Rule = (spec) => {
  const reasons: string[] = [];
  if (spec.role === 'slot') {
    const isEmpty = spec.command.length === 0 && Object.keys(spec.env).length === 0;
    return isEmpty ? [] : ['a sandbox that waits for a task already has a command or variables'];
  }
  const [program] = spec.command;
  if (program === undefined || program === '') reasons.push('there is no command');
  // `env`, which starts it, would take such a word for a variable.
  if (program?.includes('=') === true) reasons.push('the name of the program holds "="');
  if (spec.command.some((arg) => arg.includes('\0'))) reasons.push('an argument holds a NUL');
  // The kernel's own limit for one argument; beyond it the start fails with a riddle.
  if (spec.command.some((arg) => Buffer.byteLength(arg) >= bytesMax)) {
    reasons.push(`an argument is longer than ${bytesMax} bytes`);
  }
  if (!isInside(spec.cwd) && spec.cwd !== '/tmp')
    reasons.push('the working directory is not in the workspace');
  return reasons;
};

function isInside(cwd: string): boolean {
  if (cwd === workspaceTarget) return true;
  if (!cwd.startsWith(`${workspaceTarget}/`) || cwd.includes('\0')) return false;
  return cwd
    .split('/')
    .slice(1)
    .every((part) => part !== '' && part !== '.' && part !== '..');
}
