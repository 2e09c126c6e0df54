import type { PlanTask } from '#contract/plan.ts';
import type { Collected } from '../artifacts/collect.ts';
import { cutText } from '../base/text.ts';
import type { PreparedLayer } from '../workspace/layers.ts';
import type { RunsDeps } from './deps.ts';
import { artifactLeftOut } from './left-out.ts';
import { taskEntry, type AcceptedRun } from './open-run.ts';
import { failpoint } from '../base/failpoints.ts';

const depthMax = 64;

/**
 * Takes a task's declared outputs into the store, after its last process is dead. Returns why the
 * task fails, where a required output is missing or was refused.
 */
export async function collectOutputs(
  deps: RunsDeps,
  run: AcceptedRun,
  task: PlanTask,
  layer: PreparedLayer,
): Promise<string | undefined> {
  if (task.outputs.length === 0) return undefined;
  const collected = await deps.workspace.collect({
    roots: [layer.upper, ...layer.lower],
    outputs: task.outputs,
    limits: {
      filesMax: run.artifactsLeft.files,
      bytesMax: run.artifactsLeft.bytes,
      depthMax,
    },
    ...(run.secrets.automaton === undefined ? {} : { secrets: run.secrets.automaton }),
  });
  const { artifacts, rejected } = withinRun(run, task, collected);
  await deps.log.appendAll([
    ...artifacts.map((artifact) =>
      taskEntry(run, task.id, {
        type: 'artifact.collected' as const,
        data: {
          name: artifact.name,
          path: artifact.path,
          sha256: artifact.digest.slice('sha256:'.length),
          bytes: artifact.bytes,
          kind: artifact.kind,
        },
      }),
    ),
    ...artifacts.flatMap((artifact) => artifactLeftOut(run, task, artifact)),
    ...rejected.map((output) =>
      taskEntry(run, task.id, {
        type: 'artifact.rejected' as const,
        outcome: 'denied' as const,
        sev: output.required ? ('warn' as const) : ('info' as const),
        data: { name: output.name, path: output.path, reason: cutText(output.reason, 256) },
      }),
    ),
  ]);
  failpoint('after-artifacts-collected');
  const fatal = rejected.find((output) => output.required);
  return fatal && cutText(`output ${fatal.name} (${fatal.path}): ${fatal.reason}`, 512);
}

/**
 * Takes what was collected off what the run has left. Other tasks may have collected meanwhile, out
 * of the same rest: whoever comes to it last has to do with what they left.
 */
function withinRun(
  { artifactsLeft }: Pick<AcceptedRun, 'artifactsLeft'>,
  task: PlanTask,
  collected: Collected,
): Collected {
  const artifacts: Collected['artifacts'] = [];
  const rejected = [...collected.rejected];
  for (const artifact of collected.artifacts) {
    const { files, bytes } = artifactsLeft;
    if (artifact.files <= files && artifact.bytes <= bytes) {
      artifactsLeft.files -= artifact.files;
      artifactsLeft.bytes -= artifact.bytes;
      artifacts.push(artifact);
      continue;
    }
    const { name, path } = artifact;
    const required = task.outputs.find((output) => output.name === name)?.required ?? true;
    const reason = artifact.files > files ? `more than ${files} files` : `more than ${bytes} bytes`;
    rejected.push({ name, path, required, reason });
  }
  return { artifacts, rejected };
}
