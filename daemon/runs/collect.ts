import type { PlanTask } from '#contract/plan.ts';
import { cutText } from '../base/text.ts';
import type { PreparedLayer } from '../workspace/layers.ts';
import type { RunsDeps } from './deps.ts';
import { artifactLeftOut } from './left-out.ts';
import { taskEntry, type AcceptedRun } from './open-run.ts';

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
  const { artifacts, rejected } = await deps.workspace.collect({
    roots: [layer.upper, ...layer.lower],
    outputs: task.outputs,
    limits: {
      filesMax: run.artifactsLeft.files,
      bytesMax: run.artifactsLeft.bytes,
      depthMax,
    },
    ...(run.secrets.automaton === undefined ? {} : { secrets: run.secrets.automaton }),
  });
  for (const artifact of artifacts) {
    run.artifactsLeft.files -= artifact.files;
    run.artifactsLeft.bytes -= artifact.bytes;
  }
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
  const fatal = rejected.find((output) => output.required);
  return fatal && cutText(`output ${fatal.name} (${fatal.path}): ${fatal.reason}`, 512);
}
