import { coveredBy, allowsName } from './env-pattern.ts';

/** One line of a policy: which tasks may be given this secret. */
export type SecretGrant = {
  name: string;
  tools: readonly string[];
  /** Ids of tasks: `release`, `release:*` or `*`. */
  tasks: readonly string[];
};

/** Whether a single line covers name, tool and id; two lines are never read together. */
export function grantsSecret(
  grants: readonly SecretGrant[],
  name: string,
  task: { id: string; tool: string },
): boolean {
  return grants.some(
    (grant) =>
      grant.name === name && grant.tools.includes(task.tool) && allowsName(grant.tasks, task.id),
  );
}

/** What both allow. `note` is told of every line of the second that loses something. */
export function commonGrants(
  above: readonly SecretGrant[],
  below: readonly SecretGrant[],
  note: (what: string) => void,
): SecretGrant[] {
  const all = below.flatMap((wanted) => {
    const kept = above
      .filter((grant) => grant.name === wanted.name)
      .map((grant) => common(grant, wanted))
      .filter(({ tools, tasks }) => tools.length > 0 && tasks.length > 0);
    const isWhole = kept.some(
      ({ tools, tasks }) =>
        tools.length === new Set(wanted.tools).size &&
        wanted.tasks.every((task) => tasks.includes(task)),
    );
    if (!isWhole) note(`secrets: ${wanted.name} ${kept.length > 0 ? 'cut down' : 'not allowed'}`);
    return kept;
  });
  // The first of equals stays, and nothing that another line grants anyway.
  return all.filter((one, i) =>
    all.every((other, j) => i === j || !covers(other, one) || (covers(one, other) && i < j)),
  );
}

function covers(outer: SecretGrant, inner: SecretGrant): boolean {
  return (
    outer.name === inner.name &&
    inner.tools.every((tool) => outer.tools.includes(tool)) &&
    inner.tasks.every((task) => outer.tasks.some((other) => coveredBy(task, other)))
  );
}

function common(a: SecretGrant, b: SecretGrant): SecretGrant {
  const tasks = b.tasks.flatMap((task) =>
    a.tasks.some((other) => coveredBy(task, other))
      ? [task]
      : a.tasks.filter((other) => coveredBy(other, task)),
  );
  return {
    name: b.name,
    tools: [...new Set(b.tools.filter((tool) => a.tools.includes(tool)))],
    tasks: [...new Set(tasks)],
  };
}
