import type { Intent } from '../intent.ts';
import type { DraftInput } from '../plan-file.ts';
import type { Profile } from '../profile.ts';

export type TaskInput = DraftInput['tasks'][number];

/**
 * What one ecosystem says to an intent: tasks, or every reason why it has none. With reasons, the
 * tasks count for nothing; they are kept so that the tools they would need can be named too.
 */
export type Proposal = {
  ecosystem: string;
  /** The file that it was made from. */
  manifest: string;
  tasks: TaskInput[];
  assumptions: string[];
  reasons: string[];
  hint?: string;
};

/** Looks at names and manifests; undefined where nothing of its kind is there. Pure. */
export type EcosystemRule = (profile: Profile, intent: Intent) => Proposal | undefined;

/** A task with everything that has a plain default filled in. */
export function task(
  given: Pick<TaskInput, 'id' | 'title' | 'why' | 'tool' | 'args'> & Partial<TaskInput>,
): TaskInput {
  return { env: [], cwd: '.', deps: [], outputs: [], limits: {}, onFailure: 'stop', ...given };
}
