import type { RunView, TaskView } from '#contract/run.ts';
import type { Field } from './field.ts';

export const groups = ['files', 'escape', 'network', 'resources', 'daemon', 'audit'] as const;
export type Group = (typeof groups)[number];

export const groupTitles: Readonly<Record<Group, string>> = {
  files: 'Files and copy-out',
  escape: 'Escape',
  network: 'Network',
  resources: 'Resources',
  daemon: 'Daemon and planner',
  audit: 'Audit',
};

/**
 * What became of one attack. `held` needs evidence that the attack really took place and was
 * stopped; an attack that could not be made is `skipped`, never held.
 */
export type Verdict = { held: true | false | 'skipped'; happened: string };

type Facts = {
  /** Stable over versions, so that two reports can be compared. */
  id: string;
  title: string;
  /** What is tried, for a reader who has to believe it. */
  attack: string;
  /** What has to happen for the wall to hold. */
  expects: string;
};

/** What a script in a sandbox answered to each thing it tried. */
export type Answer = { through: boolean; text: string };
export type Answers = Readonly<Record<string, Answer>>;

/** What came back from one task: the daemon's word, what it printed, what it answered. */
export type Seen = {
  run: RunView;
  task: TaskView | undefined;
  printed: string;
  answers: Answers;
};

export type TaskLimits = Readonly<Record<string, string | number>>;

/** A script that runs as an ordinary task; those of one group share a run. */
export type TaskAttack = Facts & {
  /** The body of a Node script; `prelude.ts` says which words it has. */
  script: string;
  /** Files beside it in its own directory. */
  files?: Readonly<Record<string, string>>;
  limits?: TaskLimits;
  outputs?: Readonly<Record<string, string>>;
  /**
   * The wall stands before the kernel of the host. Where the runtime has a kernel of its own, that
   * one answers, and what it lets a task do to itself is inside the wall.
   */
  hostKernel?: true;
  /** Left out: everything that the script tried has to be refused. */
  judge?: (seen: Seen, field: Field) => Verdict | Promise<Verdict>;
};

/** Anything else: requests, plans, runs of its own. */
export type FreeAttack = Facts & { play: (field: Field) => Promise<Verdict> };

export type Attack = TaskAttack | FreeAttack;

export const held = (happened: string): Verdict => ({ held: true, happened });
export const down = (happened: string): Verdict => ({ held: false, happened });
export const skipped = (happened: string): Verdict => ({ held: 'skipped', happened });

/** Held when the condition is true; both ways the same account of what happened. */
export function verdict(isHeld: boolean, happened: string): Verdict {
  return isHeld ? held(happened) : down(happened);
}
