import { unknownWord, type Action } from '../intent.ts';
import { task, type EcosystemRule, type TaskInput } from './rule.ts';

const known: readonly Action[] = ['clean', 'build', 'test', 'check'];

/** CMake in a directory of its own: configured, built, and tested by ctest. */
export const cmake: EcosystemRule = (profile, intent) => {
  const manifest = 'CMakeLists.txt';
  if (!profile.names.includes(manifest)) return undefined;
  const wanted = intent.all ? (['build', 'test'] as const) : intent.actions;
  const reasons = [
    ...intent.names.map(unknownWord),
    ...wanted
      .filter((action) => !known.includes(action))
      .map((action) => `cmake has no command for ${action}`),
  ];
  const run = (id: string, tool: string, args: string[], ...deps: string[]): TaskInput =>
    task({
      id,
      title: [tool, ...args].join(' '),
      why: `${manifest} says how the project is built`,
      tool,
      args,
      deps,
    });
  const tasks = [
    run('configure', 'cmake', ['-S', '.', '-B', 'build']),
    run('build', 'cmake', ['--build', 'build'], 'configure'),
  ];
  if (wanted.some((action) => action === 'test' || action === 'check')) {
    tasks.push(run('test', 'ctest', ['--test-dir', 'build', '--output-on-failure'], 'build'));
  }
  // Each run starts from the workspace as it was handed in, so there is nothing to clean.
  return { ecosystem: 'cmake', manifest, tasks, assumptions: [], reasons };
};
