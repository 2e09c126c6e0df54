import { formatLimit, limitNames, limitWords } from '#contract/limits.ts';
import type { Side, SideTask } from './side.ts';

/** What a plan can do that another cannot: read first, because it is what an approval is about. */
export type Capability = {
  what:
    'image' | 'policy' | 'tool' | 'secret' | 'side effects' | 'env' | 'output' | 'lock' | 'limit';
  change: 'added' | 'removed' | 'changed';
  name: string;
  /** Tasks that have it now, or had it. */
  tasks: string[];
  from?: string;
  to?: string;
};

export type FieldChange = { field: string; from: string; to: string };
export type Edge = { task: string; waits_for: string };

export type PlanDifference = {
  same: boolean;
  capabilities: Capability[];
  tasks: {
    added: string[];
    removed: string[];
    /** The same work under another name. */
    renamed: { from: string; to: string }[];
    changed: { id: string; fields: FieldChange[] }[];
  };
  edges: { added: Edge[]; removed: Edge[] };
  /** Of two runs: what differs in what became of them. */
  outcome: { id: string; from: string; to: string }[];
  durations?: { from_ms: number; to_ms: number };
};

/**
 * What B is beside A. A task is what it does, not what it is called: one that does the same under
 * another name is renamed. Titles and reasons make no difference. Every list is in the order of the
 * plans, A before B.
 */
export function planDifference(a: Side, b: Side): PlanDifference {
  const renamed = renames(a, b);
  const nameInB = (id: string) => renamed.get(id) ?? id;
  const inA = new Map(a.tasks.map((task) => [nameInB(task.id), task]));
  const inB = new Map(b.tasks.map((task) => [task.id, task]));
  const changed = b.tasks.flatMap((task) => {
    const before = inA.get(task.id);
    const fields = before === undefined ? [] : fieldChanges(before, task);
    return fields.length === 0 ? [] : [{ id: task.id, fields }];
  });
  const edgesOf = (tasks: readonly SideTask[], name: (id: string) => string) =>
    tasks.flatMap(({ id, deps }) =>
      [...new Set(deps)].map((dep) => ({ task: name(id), waits_for: name(dep) })),
    );
  const [before, after] = [edgesOf(a.tasks, nameInB), edgesOf(b.tasks, (id) => id)];
  const outcome = b.tasks.flatMap((task) => {
    const from = inA.get(task.id)?.state;
    const to = task.state;
    const differs = from !== undefined && to !== undefined && from !== to;
    return differs ? [{ id: task.id, from, to }] : [];
  });
  const found = {
    capabilities: capabilityChanges(a, b),
    tasks: {
      added: b.tasks.map(({ id }) => id).filter((id) => !inA.has(id)),
      removed: a.tasks.map(({ id }) => id).filter((id) => !inB.has(nameInB(id))),
      renamed: [...renamed].map(([from, to]) => ({ from, to })),
      changed,
    },
    edges: { added: missingIn(before, after), removed: missingIn(after, before) },
    outcome,
  };
  const same =
    [found.capabilities, ...Object.values(found.tasks), ...Object.values(found.edges)].every(
      (list) => list.length === 0,
    ) && outcome.length === 0;
  if (a.durationMs === undefined || b.durationMs === undefined) return { same, ...found };
  return { same, ...found, durations: { from_ms: a.durationMs, to_ms: b.durationMs } };
}

/** From A's names to B's, for tasks that are in one of them only and do the same. */
function renames(a: Side, b: Side): Map<string, string> {
  const [idsA, idsB] = [new Set(a.tasks.map(({ id }) => id)), new Set(b.tasks.map(({ id }) => id))];
  const free = new Map<string, string[]>();
  for (const task of b.tasks) {
    if (idsA.has(task.id)) continue;
    const key = workOf(task);
    free.set(key, [...(free.get(key) ?? []), task.id]);
  }
  const found = new Map<string, string>();
  for (const task of a.tasks) {
    if (idsB.has(task.id)) continue;
    const to = free.get(workOf(task))?.shift();
    if (to !== undefined) found.set(task.id, to);
  }
  return found;
}

function workOf({ tool, args, env, cwd, outputs, inputs, secrets, sideEffects }: SideTask): string {
  const variables = Object.entries(env).toSorted(([x], [y]) => (x < y ? -1 : 1));
  return JSON.stringify([tool, args, variables, cwd, outputs, inputs, secrets, sideEffects]);
}

const fields = {
  tool: ({ tool }) => tool,
  args: ({ args }) => JSON.stringify(args),
  cwd: ({ cwd }) => cwd,
  inputs: ({ inputs }) => inputs.join(' '),
  outputs: ({ outputs }) =>
    outputs.map(({ name, path, required }) => `${name}=${path}${required ? '' : '?'}`).join(' '),
  env: ({ env }) =>
    Object.entries(env)
      .map(([name, value]) => `${name}=${value}`)
      .toSorted()
      .join(' '),
  secrets: ({ secrets }) => secrets.join(' '),
  locks: ({ locks }) => locks.join(' '),
  side_effects: ({ sideEffects }) => String(sideEffects),
  retries: ({ retries }) => (retries === undefined ? '' : String(retries)),
  on_failure: ({ onFailure }) => onFailure,
} as const satisfies Record<string, (task: SideTask) => string>;

function fieldChanges(before: SideTask, after: SideTask): FieldChange[] {
  const found: FieldChange[] = [];
  for (const [field, of] of Object.entries(fields)) {
    const [from, to] = [of(before), of(after)];
    if (from !== to) found.push({ field, from, to });
  }
  for (const name of limitNames) {
    const [from, to] = [before.limits[name], after.limits[name]];
    // What only one of them says is the policy's word on the other side.
    if (from === undefined || to === undefined || from === to) continue;
    const field = `limits.${limitWords[name]}`;
    found.push({ field, from: formatLimit(name, from), to: formatLimit(name, to) });
  }
  return found;
}

function capabilityChanges(a: Side, b: Side): Capability[] {
  const whole = (what: 'image' | 'policy'): Capability[] => {
    const [from, to] = [a[what], b[what]];
    if (from === undefined || to === undefined || from === to) return [];
    return [{ what, change: 'changed', name: what, tasks: [], from, to }];
  };
  const sets = (what: Capability['what'], of: (task: SideTask) => readonly string[]) => {
    const [before, after] = [holders(a, of), holders(b, of)];
    const only = (mine: typeof before, theirs: typeof before, change: 'added' | 'removed') =>
      [...mine].flatMap(([name, tasks]): Capability[] =>
        theirs.has(name) ? [] : [{ what, change, name, tasks }],
      );
    return [...only(after, before, 'added'), ...only(before, after, 'removed')];
  };
  return [
    ...whole('image'),
    ...whole('policy'),
    ...sets('secret', ({ secrets }) => secrets),
    ...sets('tool', ({ tool, args }) => [tool === 'exec' ? `exec ${args[0] ?? ''}` : tool]),
    ...sets('side effects', ({ id, sideEffects }) => (sideEffects ? [id] : [])),
    ...sets('env', ({ env }) => Object.keys(env)),
    ...sets('output', ({ outputs }) => outputs.map(({ path }) => path)),
    ...sets('lock', ({ locks }) => locks),
    ...limitChanges(a, b),
  ];
}

/** The most that any task may use, where both sides say it of all their tasks. */
function limitChanges(a: Side, b: Side): Capability[] {
  return limitNames.flatMap((name): Capability[] => {
    const [before, after] = [a, b].map(({ tasks }) => {
      const values = tasks.flatMap(({ limits }) => limits[name] ?? []);
      return values.length < tasks.length || values.length === 0 ? undefined : Math.max(...values);
    });
    if (before === undefined || after === undefined || before === after) return [];
    const [from, to] = [formatLimit(name, before), formatLimit(name, after)];
    const tasks = b.tasks.filter(({ limits }) => limits[name] === after).map(({ id }) => id);
    return [{ what: 'limit', change: 'changed', name: limitWords[name], tasks, from, to }];
  });
}

function holders(side: Side, of: (task: SideTask) => readonly string[]): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const task of side.tasks) {
    for (const name of new Set(of(task))) found.set(name, [...(found.get(name) ?? []), task.id]);
  }
  return found;
}

function missingIn(known: readonly Edge[], asked: readonly Edge[]): Edge[] {
  const key = ({ task, waits_for }: Edge) => `${task}\0${waits_for}`;
  const there = new Set(known.map(key));
  return asked.filter((edge) => !there.has(key(edge)));
}
