import { z } from 'zod';
import { Digest, RelativePath, SecretName, TaskId } from './ids.ts';
import { LimitsDocument, type Limits } from './limits.ts';
import { Question, questionsMax } from './requests.ts';

/**
 * Three shapes of a plan, one direction: a *file* that a person writes (`plan.yaml`, with
 * defaults), a *draft* that any planner may say (explicit, hostile), and the *plan* that the
 * daemon derives, hashes and runs. None of them has words for an image, a mount, a user, a
 * network, a capability or the value of a secret: a plan cannot ask for power. It may name secrets;
 * whether a task gets them is the policy's word.
 */
export const planTasksMax = 10_000;
export const planBytesMax = 2 * 1024 * 1024;
export const taskSecretsMax = 16;

const EnvName = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,63}$/, 'not an environment name');
const Argument = z.string().max(4096);
/**
 * From the top of the workspace on, `/` between names: `*` and `?` stay within a name, `**` goes
 * through directories, a directory comes with all that is in it, a leading `!` takes away. The last
 * one that speaks of a path counts.
 */
const InputGlob = z.string().min(1).max(256);
const Title = z.string().max(120);
const Why = z.string().max(300);

const DraftOutput = z.strictObject({
  name: TaskId,
  path: RelativePath,
  required: z.boolean(),
});

export const DraftTask = z.strictObject({
  id: TaskId,
  title: Title,
  why: Why,
  tool: z.string().min(1).max(48),
  args: z.array(Argument).max(64),
  env: z.array(z.strictObject({ name: EnvName, value: Argument })).max(32),
  cwd: RelativePath,
  deps: z.array(TaskId).max(256),
  outputs: z.array(DraftOutput).max(32),
  /** Globs of the workspace; a task that has any sees no other file of the snapshot. */
  inputs: z.array(InputGlob).max(64).default([]),
  /** It changes something that is not in its layer: never taken from the cache, asked before twice. */
  sideEffects: z.boolean().default(false),
  /** Of tasks that name the same lock, whichever run they are in, one runs at a time. */
  locks: z.array(TaskId).max(8).default([]),
  /** Attempts after the first, for failures that are the task's own. */
  retries: z.number().int().min(0).max(10).optional(),
  limits: LimitsDocument.partial(),
  /** Given as files /run/secrets/NAME, never as variables. */
  secrets: z.array(SecretName).max(taskSecretsMax).default([]),
  /** What a person has to say before it begins; the answers are inputs of it. */
  questions: z.array(Question).max(questionsMax).default([]),
  /** `replan`: the rest of the plan may be changed for it, even where the run says nothing of that. */
  onFailure: z.enum(['stop', 'continue', 'replan']),
});
export type DraftTask = z.infer<typeof DraftTask>;

export const PlanDraft = z.strictObject({
  version: z.literal(1),
  assumptions: z.array(z.string().max(300)).max(32),
  tasks: z.array(DraftTask).min(1).max(planTasksMax),
});
export type PlanDraft = z.infer<typeof PlanDraft>;

/** What a person writes; everything that has a sensible default may be left out. */
export const PlanFile = z.strictObject({
  version: z.literal(1),
  name: Title.optional(),
  /**
   * Of a plan that was made and written down: what it came to, with the words that are not in its
   * tasks. It runs as exactly that plan or not at all; a plan that was edited leaves this out.
   */
  made: z
    .strictObject({
      digest: Digest,
      planner: z.string().regex(/^[a-z][a-z0-9-]{0,31}$/, 'the name of a planner'),
      assumptions: z.array(z.string().max(300)).max(32).default([]),
    })
    .optional(),
  tasks: z
    .array(
      z.strictObject({
        id: TaskId,
        title: Title.optional(),
        why: Why.optional(),
        tool: z.string().min(1).max(48),
        args: z.array(Argument).max(64).default([]),
        env: z.record(EnvName, Argument).default({}),
        cwd: RelativePath.default('.'),
        deps: z.array(TaskId).max(256).default([]),
        outputs: z
          .array(
            z.strictObject({
              name: TaskId,
              path: RelativePath,
              required: z.boolean().default(true),
            }),
          )
          .max(32)
          .default([]),
        inputs: z.array(InputGlob).max(64).default([]),
        side_effects: z.boolean().default(false),
        locks: z.array(TaskId).max(8).default([]),
        retries: z.number().int().min(0).max(10).optional(),
        timeout: LimitsDocument.shape.timeout.optional(),
        limits: LimitsDocument.partial().default({}),
        secrets: z.array(SecretName).max(taskSecretsMax).default([]),
        questions: z.array(Question).max(questionsMax).default([]),
        on_failure: z.enum(['stop', 'continue', 'replan']).default('stop'),
      }),
    )
    .min(1)
    .max(planTasksMax),
});
export type PlanFile = z.infer<typeof PlanFile>;

export type PlanTask = {
  id: TaskId;
  title: string;
  why: string;
  tool: string;
  args: readonly string[];
  env: Readonly<Record<string, string>>;
  cwd: string;
  deps: readonly TaskId[];
  outputs: readonly { name: string; path: string; required: boolean }[];
  onFailure: 'stop' | 'continue' | 'replan';
  /** Left out where the task sees the whole workspace. */
  inputs?: readonly string[];
  sideEffects?: true;
  locks?: readonly string[];
  retries?: number;
  /** Names, in ascending order. */
  secrets: readonly SecretName[];
  /** Asked before it begins; left out where there are none. */
  questions?: readonly Question[];
  /** In no plan: variables and secrets that people gave it, set when it is about to begin. */
  given?: readonly string[];
  /** Derived by the daemon: the argv that will run, and what must be provisioned for it. */
  command: readonly string[];
  provisions: readonly 'npm'[];
  limits: Limits;
};

export type Plan = {
  version: 1;
  planner: string;
  assumptions: readonly string[];
  policy: { name: string; digest: Digest };
  image: { reference: string; id: Digest };
  tasks: readonly PlanTask[];
};

/** One thing that is wrong with a draft; all of them are returned at once. */
export type Finding = {
  code:
    | 'too_large'
    | 'not_json'
    | 'schema'
    | 'duplicate_id'
    | 'unknown_dependency'
    | 'cycle'
    | 'unknown_tool'
    | 'tool_denied'
    | 'tool_missing'
    | 'argument_denied'
    | 'path_denied'
    | 'environment_denied'
    | 'secret_denied'
    | 'policy_denied'
    | 'replan_denied'
    | 'envelope_widened'
    | 'output_overlap'
    | 'too_many';
  task?: string;
  pointer?: string;
  message: string;
  hint?: string;
};
