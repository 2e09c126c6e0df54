import { z } from 'zod';
import { Digest, RunId } from './ids.ts';
import { GrownTool } from './tools.ts';

/**
 * What a run waits for a person for: leave for a task that a rule asks about, or the answer to a
 * question of its plan. An answer names the digest of what was shown, so that nobody answers anything
 * else than what they saw.
 */
export const requestKinds = ['approval', 'question'] as const;
export const requestStates = [
  'open',
  'granted',
  'denied',
  'expired',
  /** Nobody needs it any more: the run ended, or it was asked anew. */
  'withdrawn',
  /** A question has its answer. */
  'answered',
] as const;
export type RequestState = (typeof requestStates)[number];
export const requestEnds = ['granted', 'denied', 'expired', 'withdrawn', 'answered'] as const;

export const answerKinds = ['approve', 'deny', 'value'] as const;
export type AnswerKind = (typeof answerKinds)[number];

export const questionKinds = ['text', 'choice', 'confirm', 'secret'] as const;
export const questionsMax = 8;
export const answerCharsMax = 4096;
const promptMax = 500;
const choicesMax = 32;

/** As variables are called: the task finds its answer in ANSWER_NAME, a secret in a file NAME. */
export const QuestionName = z
  .string()
  .regex(/^[A-Z][A-Z0-9_]{0,47}$/, 'must be capital letters, digits and "_": DEPLOY_TO');

/** Something that only a person knows; asked before its task begins. */
export const Question = z
  .strictObject({
    name: QuestionName,
    prompt: z.string().min(1).max(promptMax),
    kind: z.enum(questionKinds).default('text'),
    choices: z.array(z.string().min(1).max(256)).min(1).max(choicesMax).optional(),
    /** What counts where nobody says anything else; of a secret there is none. */
    default: z.string().max(answerCharsMax).optional(),
  })
  .refine(({ kind, choices }) => (kind === 'choice') === (choices !== undefined), {
    message: 'choices belong to the kind choice, and to no other',
    path: ['choices'],
  })
  .refine(({ kind, ...said }) => kind !== 'secret' || said.default === undefined, {
    message: 'a secret has no default',
    path: ['default'],
  });
export type Question = z.infer<typeof Question>;

/** Why this is no answer to the question; nothing where it is one. */
export function answerProblem(
  { kind, choices = [] }: Pick<Question, 'kind' | 'choices'>,
  value: string,
): string | undefined {
  if (value.length > answerCharsMax) return `is longer than ${answerCharsMax} characters`;
  if (!value.isWellFormed() || value.includes('\0')) return 'holds a NUL or broken text';
  if (kind === 'secret') return value === '' ? 'is empty' : undefined;
  if (/\p{Cc}/u.test(value)) return 'holds a control character or a second line';
  if (kind === 'confirm') return value === 'yes' || value === 'no' ? undefined : 'is not yes or no';
  if (kind === 'choice') return choices.includes(value) ? undefined : 'is none of the choices';
  return undefined;
}

const Count = z.number().int().min(0);
const Time = z.string();

/** A rule that asks, and where it stands. */
export const AskingRule = z.strictObject({
  document: z.string(),
  id: z.string(),
  digest: Digest,
  line: Count,
  reason: z.string(),
});
export type AskingRule = z.infer<typeof AskingRule>;

/** Who has to approve, and how many of them. */
export const AskTerms = z.strictObject({
  approvals: Count,
  /** Whoever approves has to fit one entry of each list. */
  from: z.array(z.array(z.string())),
  /** Whether who submitted the run may be one of them. */
  self: z.boolean(),
});
export type AskTerms = z.infer<typeof AskTerms>;

/**
 * What is approved, as canonical JSON; `shown` is the sha256 of exactly that text. Whatever reads it
 * has to refuse a text of another digest.
 */
export const ShownApproval = z.strictObject({
  version: z.literal(1),
  kind: z.literal('approval'),
  run: RunId,
  plan: Digest,
  policy: z.strictObject({ name: z.string(), digest: Digest }),
  /** The snapshot that the run works on. */
  inputs: Digest,
  task: z.strictObject({
    id: z.string(),
    title: z.string(),
    why: z.string(),
    tool: z.string(),
    args: z.array(z.string()),
    env: z.record(z.string(), z.string()),
    needs: z.array(z.string()),
    side_effects: z.boolean(),
  }),
  sandbox: z.strictObject({
    image: z.strictObject({ reference: z.string(), id: Digest, origin: z.string() }),
    user: z.string(),
    runtime: z.string(),
    network: z.literal('none'),
    command: z.array(z.string()),
    cwd: z.string(),
    env: z.record(z.string(), z.string()),
    secrets: z.array(z.string()),
    mounts: z.array(
      z.strictObject({
        kind: z.string(),
        target: z.string(),
        readonly: z.boolean(),
        bytes: Count.optional(),
      }),
    ),
    limits: z.record(z.string(), Count),
    seccomp: z.string(),
    apparmor: z.string(),
    selinux: z.string(),
  }),
  rules: z.array(AskingRule),
  /** Granted, this program is on the list of who asks, and nobody is asked for it any more. */
  grows: GrownTool.optional(),
  ask: AskTerms,
});
export type ShownApproval = z.infer<typeof ShownApproval>;

export const ShownQuestion = z.strictObject({
  version: z.literal(1),
  kind: z.literal('question'),
  run: RunId,
  plan: Digest,
  inputs: Digest,
  task: z.strictObject({ id: z.string(), title: z.string(), tool: z.string() }),
  question: z.strictObject({
    name: z.string(),
    prompt: z.string(),
    kind: z.enum(questionKinds),
    choices: z.array(z.string()).optional(),
    default: z.string().optional(),
  }),
});
export type ShownQuestion = z.infer<typeof ShownQuestion>;

export const Answered = z.strictObject({
  answer: z.enum(answerKinds),
  by: z.string(),
  uid: Count.optional(),
  at: Time,
  reason: z.string().optional(),
});
export type Answered = z.infer<typeof Answered>;

/** Thin row of a list of requests. */
export const RequestRow = z.strictObject({
  id: z.string(),
  kind: z.enum(requestKinds),
  state: z.enum(requestStates),
  run: RunId,
  task: z.string(),
  tool: z.string(),
  /** Digest of what is shown; an answer has to name it. */
  shown: Digest,
  question: z.string().optional(),
  askedBy: z.string(),
  openedAt: Time,
  expiresAt: Time,
  closedAt: Time.optional(),
  /** Why it was closed, in words. */
  reason: z.string().optional(),
  ask: AskTerms.optional(),
  rules: z.array(AskingRule.omit({ reason: true })),
  grows: GrownTool.optional(),
  answers: z.array(Answered),
});
export type RequestRow = z.infer<typeof RequestRow>;

export const RequestView = RequestRow.extend({
  /** The exact text that `shown` is the digest of: a `ShownApproval` or a `ShownQuestion`. */
  text: z.string(),
  /** The same of the last one that was granted for the same task and tool, in an earlier run. */
  before: z
    .strictObject({ request: z.string(), run: RunId, at: Time, text: z.string() })
    .optional(),
  /** Whether the caller may, and else why not. */
  mayAnswer: z.boolean(),
  whyNot: z.string().optional(),
});
export type RequestView = z.infer<typeof RequestView>;

export const RequestQuery = z.object({
  limit: z.coerce.number().int().min(1).max(500).default(100),
  state: z.enum(['open', 'all']).default('open'),
  run: z.string().max(64).optional(),
});

export const AnswerRequest = z.strictObject({
  /** Of what was shown. Another one is refused: something else would be answered. */
  digest: Digest,
  answer: z.enum(answerKinds),
  reason: z.string().max(500).optional(),
  /** To a question. */
  value: z
    .string()
    .max(64 * 1024)
    .optional(),
});
export type AnswerRequest = z.infer<typeof AnswerRequest>;
