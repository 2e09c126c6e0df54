import { exec } from './exec.ts';
import { node } from './node.ts';
import { npm, npx } from './npm.ts';
import { plain, type Provision, type Tool } from './tool.ts';
import { toolEnvironment } from './environment.ts';

// Tools that the default image lacks are here so that a plan which needs one is told its name.
const registry: ReadonlyMap<string, Tool> = new Map<string, Tool>([
  ['npm', npm],
  ['npx', npx],
  ['node', node],
  ['sh', plain('sh', (args) => (args.length === 0 ? ['sh needs -c and a script, or a file'] : []))],
  ['exec', exec],
  ...'pnpm yarn make cmake ctest cargo go python pytest gradle mvn'
    .split(' ')
    .map((name): [string, Tool] => [name, plain(name)]),
]);

export const toolNames: readonly string[] = [...registry.keys()];

export function findTool(name: string): Tool | undefined {
  return registry.get(name);
}

export type Expanded = {
  command: string[];
  env: Readonly<Record<string, string>>;
  provisions: Provision[];
};

/** The argv that will run for a task, what its tool adds to the environment, what it needs first. */
export function expand(task: { tool: string; args: readonly string[] }): Expanded | undefined {
  const tool = findTool(task.tool);
  if (tool === undefined) return undefined;
  const env = Object.hasOwn(toolEnvironment, task.tool) ? toolEnvironment[task.tool] : undefined;
  return {
    command: tool.command(task.args),
    env: env ?? {},
    provisions: tool.provisions(task.args),
  };
}

/**
 * The program that the image has to offer, undefined where it is the workspace's own or is named
 * by an absolute path (then only the sandbox can tell).
 */
export function neededProgram(task: { tool: string; args: readonly string[] }): string | undefined {
  const tool = findTool(task.tool);
  if (tool === undefined) return undefined;
  const program = tool.program ?? task.args[0];
  return program === undefined || program.includes('/') ? undefined : program;
}
