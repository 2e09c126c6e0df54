import type { Digest, RunId } from '#contract/ids.ts';
import type { Plan, PlanTask } from '#contract/plan.ts';
import type { AnyEntry } from '../audit/types.ts';
import type { EffectivePolicy } from '../policy/effective.ts';
import type { Ancestry } from '../scheduler/ancestry.ts';
import type { RunSecrets } from '../secrets/run-secrets.ts';
import type { ResolvedImage } from './images.ts';
import type { About } from './judging/about.ts';
import type { OutputFile } from './output.ts';
import type { Pause } from './pause.ts';
import type { People } from './requests/people.ts';
import type { TakenOver } from './take-over.ts';

/**
 * What only lives while a run is open: the way to stop it, the files being written, the plan in
 * memory. Nothing here is truth; after a crash it is gone and the log says what happened.
 */
export type OpenRun = {
  id: RunId;
  snapshot: Digest;
  controller: AbortController;
  outputs: Map<string, OutputFile>;
  pause: Pause;
  /** Who of its tasks waits for people. */
  people: People;
  /** What can be said of it while it runs. */
  live: { etaMs?: () => number };
  /** Its closing record is on the way: nothing more may be said about it. */
  isClosing: boolean;
  /** Resolves when the run is closed. */
  done: Promise<void>;
};

/** An open run whose plan was accepted. */
export type AcceptedRun = OpenRun & {
  plan: Plan;
  planDigest: Digest;
  /** What comes before each task. */
  ancestry: Ancestry<PlanTask>;
  /** What the ceiling of now leaves of it: it is looked at again before each task. */
  policy: EffectivePolicy;
  image: ResolvedImage;
  /** What policies can look at of the run as a whole. */
  about: About;
  /** npm's offline cache, by the tasks' working directory. */
  npmCaches: ReadonlyMap<string, NpmCache>;
  /** In memory only, for as long as the run is open. */
  secrets: RunSecrets;
  artifactsLeft: { files: number; bytes: number };
  /** What failed in the run that this one goes on from, and what a person says of it. */
  byHand?: { run: RunId; task: string; hint?: string };
  concurrency: number;
  priority: number;
  /** Whether what ran before may count, and for which tasks it may not whatever the run says. */
  cache: boolean;
  fresh: ReadonlySet<string>;
  /** Tasks of an earlier daemon that are still at work, or ended when nobody was there. */
  taken: ReadonlyMap<string, TakenOver>;
};

/** A list of packages and, once somebody asks for it, the folder with all of them. */
export type NpmCache = {
  packages: Digest;
  /** Fetched and checked when it is first asked for, together for all who ask. */
  dir(): Promise<string>;
};

/** An entry about a task, in the form every record of a task has. */
export function taskEntry<E extends AnyEntry>(run: Pick<OpenRun, 'id'>, task: string, entry: E): E {
  return { ...entry, run: run.id, obj: { ...entry.obj, task } };
}
