import type { Action, Intent } from '../intent.ts';
import { unknownWord } from '../intent.ts';
import type { Profile } from '../profile.ts';
import { task, type EcosystemRule, type Proposal, type TaskInput } from './rule.ts';

type Commands = Partial<Record<Action, readonly string[]>>;

export type CommandEcosystem = {
  ecosystem: string;
  tool: string;
  /** The first of these that is there is the manifest. */
  manifests: readonly string[];
  commands: Commands;
  /** What "all" means here. */
  all: readonly Action[];
  /** Why a project of this kind cannot be run without a network, if it cannot. */
  missing?: (profile: Profile, manifest: string) => string[];
  assumptions?: readonly string[];
};

/** An ecosystem whose tool has one fixed command for each action. Tasks run one after another. */
export function commandRule(description: CommandEcosystem): EcosystemRule {
  const { ecosystem, tool, commands } = description;
  return (profile, intent): Proposal | undefined => {
    const manifest = description.manifests.find((name) => profile.names.includes(name));
    if (manifest === undefined) return undefined;
    const wanted = intent.all ? description.all : intent.actions;
    const reasons = [
      ...intent.names.map(unknownWord),
      ...wanted
        .filter((action) => commands[action] === undefined)
        .map((action) => `${ecosystem} has no command for ${action}`),
      ...(description.missing?.(profile, manifest) ?? []),
    ];
    return {
      ecosystem,
      manifest,
      tasks: chain(wanted, commands, tool),
      assumptions: [...(description.assumptions ?? [])],
      reasons,
    };
  };
}

// One build directory serves all of them, so they wait for each other.
function chain(
  wanted: Intent['actions'] | readonly Action[],
  commands: Commands,
  tool: string,
): TaskInput[] {
  const tasks: TaskInput[] = [];
  for (const action of wanted) {
    const args = commands[action];
    if (args === undefined) continue;
    const before = tasks.at(-1);
    tasks.push(
      task({
        id: action,
        title: `${tool} ${args.join(' ')}`,
        why: `the intent asks for ${action}`,
        tool,
        args: [...args],
        deps: before === undefined ? [] : [before.id],
      }),
    );
  }
  return tasks;
}
