import { OrchestraError } from '#contract/errors.ts';
import { spellLimits } from '#contract/limits.ts';
import { PlanFile, planBytesMax, type PlanDraft } from '#contract/plan.ts';
import type { z } from 'zod';
import { limitsFrom } from '#contract/limits.ts';
import { readYaml, type ParsedYaml } from '../base/yaml.ts';

export type DraftInput = z.input<typeof PlanDraft>;

/** A plan that a person wrote → a draft, and where each part of the draft stands in the file. */
export function readPlanFile(
  text: string,
  file: string,
): {
  draft: DraftInput;
  name: string | undefined;
  made: PlanFile['made'];
  locate: ParsedYaml<PlanFile>['locate'];
} {
  const { value, locate } = readYaml(text, {
    file,
    schema: PlanFile,
    code: 'plan.invalid',
    maxBytes: planBytesMax,
  });
  const tasks = value.tasks.map((task, i): DraftInput['tasks'][number] => {
    if (task.timeout !== undefined && task.limits.timeout !== undefined) {
      const message = `${task.id} has two timeouts, its own and one among its limits`;
      const place = { ...locate(['tasks', i, 'limits', 'timeout']), message };
      throw new OrchestraError('plan.invalid', `${file} has 1 problem`, { places: [place] });
    }
    return {
      id: task.id,
      title: task.title ?? task.id,
      why: task.why ?? '',
      tool: task.tool,
      args: task.args,
      env: Object.entries(task.env).map(([name, value]) => ({ name, value })),
      cwd: task.cwd,
      deps: task.deps,
      outputs: task.outputs,
      limits: spellLimits(
        limitsFrom({ ...task.limits, timeout: task.timeout ?? task.limits.timeout }),
      ),
      secrets: task.secrets,
      questions: task.questions,
      onFailure: task.on_failure,
      inputs: task.inputs,
      sideEffects: task.side_effects,
      locks: task.locks,
      ...(task.retries === undefined ? {} : { retries: task.retries }),
    };
  });
  const { name, made } = value;
  return { draft: { version: 1, assumptions: [], tasks }, name, made, locate };
}
