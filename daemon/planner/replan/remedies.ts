import type { DraftTask, PlanTask } from '#contract/plan.ts';
import { draftOf } from './draft-of.ts';
import type { Operation } from './operations.ts';

export type RemedyFacts = {
  failed: PlanTask;
  tasks: readonly PlanTask[];
  tail: string;
  /** Scripts of the package.json at the top. */
  scripts: ReadonlySet<string>;
  /** What stands at the top of the workspace. */
  names: ReadonlySet<string>;
};

/** What the rules do about a failure. Only where they are sure; otherwise nothing. */
export function remedyFor(facts: RemedyFacts): Operation[] | undefined {
  return remedies.map((remedy) => remedy(facts)).find((found) => found !== undefined);
}

const remedies: readonly ((facts: RemedyFacts) => Operation[] | undefined)[] = [buildFirst];

/**
 * It wanted a file of a folder that only a build makes, and no build came before it: then the build
 * of the workspace comes first. Where one did come before, the build is to blame, which no plan mends.
 */
function buildFirst({ failed, tasks, tail, scripts, names }: RemedyFacts): Operation[] | undefined {
  const folder = missingFolder(tail);
  if (folder === undefined || names.has(folder)) return undefined;
  if (failed.cwd !== '.' || !scripts.has('build') || isBuild(failed)) return undefined;
  const draft = draftOf(failed);
  const build = tasks.find(isBuild);
  if (build !== undefined) {
    if (comesBefore(tasks, build.id, failed.id) || comesBefore(tasks, failed.id, build.id)) {
      return undefined;
    }
    return [after(draft, build.id)];
  }
  const id = freeName(tasks, 'build');
  const task: DraftTask = {
    ...draft,
    id,
    title: 'Build',
    why: `${failed.id} needs ${folder}, which the build makes`,
    tool: 'npm',
    args: ['run', 'build'],
    env: [],
    outputs: [],
    inputs: [],
    locks: [],
    secrets: [],
    questions: [],
    sideEffects: false,
    onFailure: 'stop',
  };
  return [{ op: 'add', task }, after(draft, id)];
}

function after(draft: DraftTask, dep: string): Operation {
  return { op: 'replace', id: draft.id, task: { ...draft, deps: [...draft.deps, dep] } };
}

/** Names that build tools give to what they make, and hardly anybody gives to sources. */
const made = /(?:^|[\s'"(])(?:\/workspace\/|\.{1,2}\/)?(dist|build|out)\/[\w./@-]{1,200}/;

function missingFolder(tail: string): string | undefined {
  for (const line of tail.split('\n')) {
    const says =
      /\bCannot find module '|\bERR_MODULE_NOT_FOUND\b|\bENOENT: no such file or directory\b/;
    if (!says.test(line)) continue;
    const found = made.exec(line.slice(0, 512))?.[1];
    if (found !== undefined) return found;
  }
  return undefined;
}

function isBuild({ tool, args, cwd }: PlanTask): boolean {
  return tool === 'npm' && cwd === '.' && args[0] === 'run' && args[1] === 'build';
}

function comesBefore(tasks: readonly PlanTask[], first: string, then: string): boolean {
  const deps = new Map(tasks.map((task) => [task.id, task.deps]));
  const seen = new Set<string>();
  const open = [then];
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    for (const dep of deps.get(id) ?? []) {
      if (dep === first) return true;
      if (!seen.has(dep)) open.push(dep);
      seen.add(dep);
    }
  }
  return false;
}

function freeName(tasks: readonly PlanTask[], wanted: string): string {
  const taken = new Set(tasks.map(({ id }) => id));
  for (let n = 1; ; n += 1) {
    const name = n === 1 ? wanted : `${wanted}-${n}`;
    if (!taken.has(name)) return name;
  }
}
