import { plain } from './tool.ts';

/** Node runs a file or `-e` text. An inspector would open a port that nobody can reach. */
export const node = plain('node', (args) => {
  if (args.length === 0) return ['node needs a file to run: a task has no terminal'];
  return args.slice(0, scriptAt(args)).flatMap((arg) => {
    if (arg.startsWith('--inspect')) return [`node ${arg} opens a debugging port`];
    if (/^(?:--env-file(?:-if-exists)?)(?:=|$)/.test(arg)) {
      return [`node ${arg} sets variables past the policy`];
    }
    return [];
  });
});

// What follows the script belongs to the script.
function scriptAt(args: readonly string[]): number {
  const found = args.findIndex((arg) => !arg.startsWith('-'));
  return found === -1 ? args.length : found;
}
