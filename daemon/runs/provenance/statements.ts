import { statementType } from '#contract/attestation.ts';
import type { Digest } from '#contract/ids.ts';
import type { Plan, PlanTask } from '#contract/plan.ts';
import {
  buildTypes,
  provenanceType,
  treeMediaType,
  type ProvenanceStatement,
  type Resource,
} from '#contract/provenance.ts';
import type { Artifact } from '#contract/run.ts';
import type { RunRecords, TaskRecords } from './gather.ts';

export type Sources = {
  origin: string;
  run: RunRecords;
  plan: Plan | undefined;
  /** Runs that results were taken from, as far as this log has them. */
  earlier: ReadonlyMap<string, RunRecords>;
};

/**
 * First what all tasks left, then a statement for each task that left something. A pure function of
 * the records and the plan: made again, it is the same to the byte.
 */
export function statementsOf(sources: Sources): ProvenanceStatement[] {
  const left = [...sources.run.tasks].filter(([, task]) => task.artifacts.length > 0);
  if (left.length === 0) return [];
  const artifacts = left.flatMap(([, task]) => task.artifacts);
  return [
    runStatement(sources, artifacts),
    ...left.map(([id, task]) => taskStatement(sources, id, task)),
  ];
}

function runStatement(sources: Sources, artifacts: readonly Artifact[]): ProvenanceStatement {
  const { run, plan, origin } = sources;
  const sandboxes = [...run.tasks].flatMap(([task, { receipt, cached }]): object[] => {
    if (cached !== undefined) return [{ task, taken_from: takenFrom(cached) }];
    return receipt === undefined ? [] : [{ task, sandbox: sandboxOf(receipt) }];
  });
  return statement(artifacts, {
    buildDefinition: {
      buildType: buildTypes.run,
      externalParameters: {
        ...(run.plan === undefined ? {} : { plan: run.plan }),
        ...(run.intent === undefined ? {} : { intent_commitment: run.intent }),
        planner: plan?.planner ?? 'unknown',
        tasks: [...run.tasks.keys()],
      },
      internalParameters: { policy: run.policy ?? {}, tasks: sandboxes },
      resolvedDependencies: dependenciesOf(run),
    },
    runDetails: {
      builder: { id: builderOf(origin) },
      metadata: {
        invocationId: run.id,
        startedOn: run.submittedAt,
        ...(run.closed === undefined ? {} : { finishedOn: run.closed.at }),
      },
      byproducts: byproductsOf(run, origin),
    },
  });
}

/** Names the run in which the task really ran, whichever that was. */
function taskStatement(sources: Sources, id: string, task: TaskRecords): ProvenanceStatement {
  const { run, plan, origin, earlier } = sources;
  const { cached } = task;
  const builtIn = cached === undefined ? run : earlier.get(cached.from_run);
  const built = cached === undefined ? task : builtIn?.tasks.get(cached.from_task);
  const planned = plan?.tasks.find((each) => each.id === id);
  return statement(task.artifacts, {
    buildDefinition: {
      buildType: buildTypes.task,
      externalParameters: {
        ...(run.plan === undefined ? {} : { plan: run.plan }),
        task: planned === undefined ? { id } : parametersOf(planned),
      },
      internalParameters: {
        policy: built?.receipt?.policy ?? builtIn?.policy ?? {},
        ...(built?.receipt === undefined ? {} : { sandbox: sandboxOf(built.receipt) }),
        ...(built?.attempt === undefined ? {} : { attempt: built.attempt }),
        ...(cached === undefined ? {} : { taken_from: takenFrom(cached), taken_by: run.id }),
      },
      resolvedDependencies: dependenciesOf(builtIn ?? run, built, planned),
    },
    runDetails: {
      builder: { id: builderOf(origin) },
      metadata: {
        invocationId: cached?.from_run ?? run.id,
        ...(built?.startedAt === undefined ? {} : { startedOn: built.startedAt }),
        ...(built?.finishedAt === undefined ? {} : { finishedOn: built.finishedAt }),
      },
      byproducts: [
        ...(builtIn === undefined ? [] : byproductsOf(builtIn, origin)),
        ...(builtIn === run ? [] : byproductsOf(run, origin)),
      ],
    },
  });
}

function statement(
  artifacts: readonly Artifact[],
  predicate: ProvenanceStatement['predicate'],
): ProvenanceStatement {
  return {
    _type: statementType,
    subject: artifacts.map(subjectOf),
    predicateType: provenanceType,
    predicate,
  };
}

function subjectOf({ task, name, path, sha256, bytes, kind }: Artifact): Resource {
  return {
    name: `${task}/${name}`,
    digest: { sha256 },
    ...(kind === 'directory' ? { mediaType: treeMediaType } : {}),
    annotations: { path, kind, bytes },
  };
}

/** Values of variables are the plan's, and of secrets nobody's: here are their names. */
function parametersOf(task: PlanTask): Record<string, unknown> {
  return {
    id: task.id,
    tool: task.tool,
    args: task.args,
    command: task.command,
    cwd: task.cwd,
    env_names: Object.keys(task.env).toSorted(),
    secrets: task.secrets,
    deps: task.deps,
    outputs: task.outputs.map(({ name, path }) => ({ name, path })),
    ...(task.inputs === undefined ? {} : { inputs: task.inputs }),
  };
}

function sandboxOf({ requested, effective, image }: NonNullable<TaskRecords['receipt']>): object {
  return { requested, effective, image };
}

function takenFrom({
  from_run,
  from_task,
  attempt,
  why,
  action,
}: NonNullable<TaskRecords['cached']>) {
  return {
    run: from_run,
    task: from_task,
    attempt,
    why,
    ...(action === undefined ? {} : { action }),
  };
}

function dependenciesOf(run: RunRecords, task?: TaskRecords, planned?: PlanTask): Resource[] {
  const image = task?.receipt?.image ?? run.image;
  const isTask = planned !== undefined;
  // The tree that the task saw, lowest first; the first is its snapshot, or the part that it sees.
  const layers = (task?.receipt?.mounts ?? []).flatMap((mount) => mount.layers);
  const hasPackages = !isTask || planned.provisions.length > 0;
  return [
    ...(image === undefined ? [] : [resource('image', image.id, { reference: image.reference })]),
    ...(run.snapshot === undefined ? [] : [resource('snapshot', run.snapshot)]),
    ...(run.plan === undefined ? [] : [resource('plan', run.plan)]),
    ...[...new Set(layers)]
      .filter((layer) => layer !== run.snapshot)
      .map((layer) => resource('layer', layer)),
    ...(hasPackages
      ? run.lockfiles.map(({ kind, digest, packages }) =>
          resource(`lockfile/${kind}`, digest, { packages }),
        )
      : []),
  ];
}

/** The records that say the same in full, and where in the log the last of them stands. */
function byproductsOf(run: RunRecords, origin: string): Resource[] {
  const { closed, id, first, last, records, sha256 } = run;
  // What is still open has no last word yet that anybody could check.
  if (closed === undefined) return [];
  return [
    {
      name: `records/${id}`,
      digest: { sha256 },
      annotations: { run: id, first_seq: first, last_seq: last, records, outcome: closed.outcome },
    },
    {
      name: `log/${id}`,
      digest: { sha256: closed.hash },
      annotations: {
        origin,
        seq: closed.seq,
        tree_size: closed.seq + 1,
        tree_root: closed.root,
      },
    },
  ];
}

function builderOf(origin: string): string {
  return `urn:orchestra:log:${origin}`;
}

function resource(name: string, digest: Digest, annotations?: Record<string, unknown>): Resource {
  return {
    name,
    digest: { sha256: digest.slice('sha256:'.length) },
    ...(annotations === undefined ? {} : { annotations }),
  };
}
