import { stringify } from 'yaml';
import { z } from 'zod';
import { spellLimits, type Limits } from '#contract/limits.ts';
import { Digest } from '#contract/ids.ts';
import type { PlanFile } from '#contract/plan.ts';
import { Question } from '#contract/requests.ts';

/** What a plan file can say of a plan; what the daemon derives (commands, image) it finds again. */
const Said = z.looseObject({
  intent: z.string().default(''),
  planner: z.string().default(''),
  /** Left out where the plan is to be edited. */
  digest: Digest.optional(),
  assumptions: z.array(z.string()).default([]),
  tasks: z.array(
    z.looseObject({
      id: z.string(),
      title: z.string().default(''),
      why: z.string().default(''),
      tool: z.string(),
      args: z.array(z.string()).default([]),
      env: z.record(z.string(), z.string()).default({}),
      cwd: z.string().default('.'),
      deps: z.array(z.string()).default([]),
      outputs: z
        .array(z.strictObject({ name: z.string(), path: z.string(), required: z.boolean() }))
        .default([]),
      limits: z.record(z.string(), z.number()).default({}),
      secrets: z.array(z.string()).default([]),
      onFailure: z.enum(['stop', 'continue', 'replan']).default('stop'),
      inputs: z.array(z.string()).optional(),
      sideEffects: z.literal(true).optional(),
      locks: z.array(z.string()).optional(),
      retries: z.number().optional(),
      questions: z.array(Question).optional(),
    }),
  ),
});

/** A plan as the YAML that `orchestra run --plan FILE` takes; edited or not. */
export function planFileOf(plan: unknown): string {
  const { intent, planner, digest, assumptions, tasks } = Said.parse(plan);
  const document: z.input<typeof PlanFile> = {
    version: 1,
    ...(intent === '' ? {} : { name: intent.slice(0, 120).toWellFormed() }),
    ...(digest === undefined ? {} : { made: { digest, planner, assumptions } }),
    tasks: tasks.map(({ onFailure, sideEffects, limits, ...task }) => ({
      id: task.id,
      // What is left out is called like its id.
      ...(task.title === task.id ? {} : { title: task.title }),
      ...(task.why === '' ? {} : { why: task.why }),
      tool: task.tool,
      args: task.args,
      ...(Object.keys(task.env).length === 0 ? {} : { env: task.env }),
      ...(task.cwd === '.' ? {} : { cwd: task.cwd }),
      ...(task.deps.length === 0 ? {} : { deps: task.deps }),
      ...(task.outputs.length === 0 ? {} : { outputs: task.outputs }),
      limits: spellLimits(limits as Partial<Limits>),
      ...(task.secrets.length === 0 ? {} : { secrets: task.secrets }),
      ...(onFailure === 'stop' ? {} : { on_failure: onFailure }),
      ...(task.inputs === undefined ? {} : { inputs: task.inputs }),
      ...(task.locks === undefined ? {} : { locks: task.locks }),
      ...(task.retries === undefined ? {} : { retries: task.retries }),
      ...(sideEffects === undefined ? {} : { side_effects: sideEffects }),
      ...(task.questions === undefined ? {} : { questions: task.questions }),
    })),
  };
  const comment = [
    'orchestra run --plan THIS',
    ...(digest === undefined ? [] : ['runs as exactly this plan; to edit it, take made: out']),
    ...assumptions.map((text) => `assumed: ${text}`),
  ];
  return `${comment.map((line) => `# ${oneLine(line)}\n`).join('')}${stringify(document)}`;
}

/** A comment ends with its line, so no text of others may bring one along. */
function oneLine(text: string): string {
  return text.replaceAll(/[\p{Cc}\u2028\u2029]/gu, ' ');
}
