import { stat } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { OrchestraError } from '#contract/errors.ts';
import { limitsFrom, type Limits } from '#contract/limits.ts';
import { PlanFile } from '#contract/plan.ts';
import type { Client } from '../client/client.ts';
import { readTextFile } from '../read-text.ts';
import { parseYaml } from '../yaml-document.ts';

/** One task as far as two plans can be compared by it. */
export type SideTask = {
  id: string;
  tool: string;
  args: readonly string[];
  env: Readonly<Record<string, string>>;
  cwd: string;
  deps: readonly string[];
  outputs: readonly { name: string; path: string; required: boolean }[];
  inputs: readonly string[];
  secrets: readonly string[];
  locks: readonly string[];
  sideEffects: boolean;
  retries: number | undefined;
  onFailure: string;
  /** Those that the plan says; a run's plan says all of them. */
  limits: Partial<Limits>;
  /** What it took, where it ran. */
  durationMs?: number;
  state?: string;
};

/** A plan to compare: of a file, or of a run with what became of it. */
export type Side = {
  label: string;
  kind: 'file' | 'run';
  digest?: string;
  image?: string;
  policy?: string;
  tasks: readonly SideTask[];
  durationMs?: number;
};

const planBytesMax = 2 * 1024 * 1024;

const Output = z.object({ name: z.string(), path: z.string(), required: z.boolean() });
/** Of what a daemon says of a plan, what is compared. */
const RunPlan = z.looseObject({
  image: z.looseObject({ reference: z.string(), id: z.string() }).optional(),
  policy: z.looseObject({ name: z.string(), digest: z.string() }).optional(),
  tasks: z.array(
    z.looseObject({
      id: z.string(),
      tool: z.string(),
      args: z.array(z.string()),
      env: z.record(z.string(), z.string()).default({}),
      cwd: z.string().default('.'),
      deps: z.array(z.string()).default([]),
      outputs: z.array(Output).default([]),
      inputs: z.array(z.string()).default([]),
      secrets: z.array(z.string()).default([]),
      locks: z.array(z.string()).default([]),
      sideEffects: z.boolean().default(false),
      retries: z.number().optional(),
      onFailure: z.string().default('stop'),
      limits: z.record(z.string(), z.number()).default({}),
    }),
  ),
});

/** What somebody names: a file where there is one, else a run. */
export async function readSide(
  reference: string,
  { cwd, client }: { cwd: string; client: () => Promise<Client> },
): Promise<Side> {
  const file = path.resolve(cwd, reference);
  const found = await stat(file).catch(() => undefined);
  if (found?.isFile() === true) {
    const text = await readTextFile(file, {
      bytesMax: planBytesMax,
      code: 'plan.invalid',
      shown: reference,
    });
    return sideOfFile(text, reference);
  }
  if (/[./]/.test(reference)) {
    throw new OrchestraError('plan.invalid', `There is no file ${reference}`, {
      hint: 'orchestra plan diff A B, each a plan file or a run',
    });
  }
  return sideOfRun(await client(), reference);
}

export function sideOfFile(text: string, file: string): Side {
  const document = parseYaml(text, { file, schema: PlanFile, code: 'plan.invalid' });
  const tasks = document.tasks.map(
    ({ side_effects, on_failure, limits, timeout, retries, ...task }): SideTask => ({
      ...task,
      sideEffects: side_effects,
      onFailure: on_failure,
      retries,
      limits: limitsFrom({ ...limits, ...(timeout === undefined ? {} : { timeout }) }),
    }),
  );
  return { label: file, kind: 'file', tasks };
}

async function sideOfRun(client: Client, reference: string): Promise<Side> {
  const view = await client.call('runShow', { params: { id: reference } });
  const bytesMax = 64 * 1024 * 1024;
  const content = await client.content('runPlan', { params: { id: view.id }, bytesMax });
  const { image, policy, tasks } = RunPlan.parse(JSON.parse(content.toString('utf8')));
  const ran = new Map(view.tasks.map((task) => [task.id, task]));
  return {
    label: view.id,
    kind: 'run',
    ...(view.plan === undefined ? {} : { digest: view.plan }),
    ...(image === undefined ? {} : { image: `${image.reference} ${image.id}` }),
    ...(policy === undefined ? {} : { policy: `${policy.name} ${policy.digest}` }),
    ...(view.durationMs === undefined ? {} : { durationMs: view.durationMs }),
    tasks: tasks.map((task): SideTask => {
      const { state, durationMs } = ran.get(task.id) ?? {};
      return {
        ...task,
        retries: task.retries,
        ...(state === undefined ? {} : { state }),
        ...(durationMs === undefined ? {} : { durationMs }),
      };
    }),
  };
}
