import { z } from 'zod';
import { LimitsDocument } from './limits.ts';
import { inputLines } from './policy-input.ts';
import { Duration, Size } from './units.ts';
import { Digest, SecretName } from './ids.ts';

export const policyBytesMax = 1024 * 1024;
export const policyRulesMax = 10_000;
export const policyProfilesMax = 64;
const conditionMax = 4096;

const Name = z.string().regex(/^[a-z][a-z0-9-]{0,62}$/, 'lower-case words joined by "-"');
const ToolName = z.string().min(1).max(48);

/** An expression in CEL over the input that docs/POLICY.md describes; it says true or false. */
const Condition = z
  .string()
  .min(1)
  .max(conditionMax)
  .describe(
    [
      'A condition in CEL, true or false. It can look at:',
      ...inputLines().map(({ name, type, doc }) => `${name} (${type}): ${doc}`),
    ].join('\n'),
  );

/** Images by reference, first one is the default. `pinned`: the digest this daemon first resolved. */
const Images = z
  .array(
    z.strictObject({
      reference: z.string().min(1).max(256),
      digest: z.union([z.literal('pinned'), Digest]),
      origins: z.array(z.enum(['pulled', 'assembled'])).min(1),
    }),
  )
  .min(1)
  .max(32)
  .describe('Images that tasks run in, the first one is the default.');

/** `ci`, `run *`, `**`: words, `*` for one word, `**` at the end for any number of them. */
const ArgvPattern = z
  .string()
  .max(512)
  .refine(
    (text) => text.split(' ').every((word, i, all) => word !== '**' || i === all.length - 1),
    '** stands for the rest, so it comes last',
  );

/** A name allows every argument that the tool itself accepts; patterns allow what one of them fits. */
const Tools = z
  .array(
    z.union([
      ToolName,
      z.strictObject({ name: ToolName, argv: z.array(ArgvPattern).min(1).max(64) }),
    ]),
  )
  .max(64)
  .superRefine((tools, context) => {
    const seen = new Set<string>();
    for (const [i, tool] of tools.entries()) {
      const name = typeof tool === 'string' ? tool : tool.name;
      if (seen.has(name))
        context.addIssue({ code: 'custom', path: [i], message: `tool ${name} is there twice` });
      seen.add(name);
    }
  })
  .describe('What a task can be: npm, or { name: npm, argv: [ci, "run *"] }.');

/** Names that a plan may set; `NAME_*` is a beginning, `*` any name. Reserved names stay refused. */
const Env = z
  .array(z.string().regex(/^(?:\*|[A-Za-z_][A-Za-z0-9_]*\*?)$/, 'write NAME, NAME_* or *'))
  .max(256)
  .describe('Variables that a plan may set: NAME, NAME_* or *.');

/**
 * Which secrets a plan may name, for tasks of which tools and ids: `release`, `publish:*` or `*`.
 * A task gets one where a single line covers its name, its tool and its id.
 */
const Secrets = z
  .array(
    z.strictObject({
      name: SecretName,
      tools: z.array(ToolName).max(64),
      tasks: z
        .array(z.string().regex(/^(?:\*|[a-z][a-z0-9:-]{0,47}\*?)$/, 'write an id, id:* or *'))
        .max(64),
    }),
  )
  .max(256)
  .describe('Secrets that a plan may name, for tasks of which tools and ids.');

const Provision = z
  .strictObject({
    /** `configured`: whatever registry npm is configured with on this machine; else host names. */
    registries: z.array(z.string().min(1).max(253)).max(64),
    package_bytes: Size,
    total_bytes: Size,
    packages: z.number().int().min(0).max(100_000),
  })
  .describe('What the daemon fetches for tasks, outside of their sandboxes.');

const Isolation = z
  .strictObject({
    seccomp: z.enum(['required', 'preferred']),
    apparmor: z.enum(['required', 'preferred', 'off']),
    selinux: z.enum(['required', 'preferred', 'off']),
    /** Root of a sandbox is nobody on the host: the engine as a whole has it, or has not. */
    userns: z.enum(['required', 'preferred', 'off']),
    runtimes: z.array(z.string().min(1).max(64)).min(1).max(16),
  })
  .describe('What has to stand around a task, and the runtimes in order of preference.');

/** What a sandbox may be shown, besides its workspace, /tmp and a home of its own. */
export const mountWords = ['packages', 'secrets'] as const;
const Mounts = z
  .array(z.enum(mountWords))
  .max(mountWords.length)
  .describe('What a sandbox may be shown besides its workspace, /tmp and home. Left out: all.');

/** Lists for the tasks that a condition picks out. What it leaves out is as in the document. */
const Profile = z.strictObject({
  when: Condition.optional(),
  images: Images.optional(),
  tools: Tools.optional(),
  env: Env.optional(),
  secrets: Secrets.optional(),
  limits: LimitsDocument.partial().optional(),
  provision: Provision.partial().optional(),
  isolation: Isolation.partial().optional(),
  mounts: Mounts.optional(),
});

/** Who may answer: a role, `user:NAME`, `uid:N` or `group:NAME`. */
const Approver = z
  .string()
  .regex(
    /^(?:viewer|runner|approver|auditor|admin|user:[^\s,:]{1,64}|group:[^\s,:]{1,64}|uid:\d{1,10})$/,
    'write a role, user:NAME, uid:N or group:NAME',
  );

export const AskTerms = z
  .strictObject({
    approvals: z.number().int().min(1).max(10).default(1),
    /** Any one of them entitles. */
    from: z.array(Approver).min(1).max(32).default(['approver']),
    /** Whether who submitted the run may be one of those who approve. */
    self: z.boolean().default(true),
    expires: Duration.default(24 * 3600 * 1000),
  })
  .describe('How many people have to approve, who may, and until when.');

/** Ids that judgements use for themselves. */
export const reservedRuleIds = ['lists', 'default', 'tool-not-allowed'] as const;
const RuleId = Name.refine(
  (id) => !reservedRuleIds.some((reserved) => reserved === id),
  `${reservedRuleIds.join(', ')} are ids of Orchestra's own`,
);

const Rule = z
  .strictObject({
    id: RuleId,
    when: Condition,
    effect: z.enum(['allow', 'deny', 'ask']),
    reason: z.string().min(1).max(500),
    ask: AskTerms.optional(),
  })
  .refine((rule) => rule.ask === undefined || rule.effect === 'ask', {
    path: ['ask'],
    message: 'only a rule with effect ask has terms',
  });
export type PolicyRule = z.infer<typeof Rule>;

/** Something that must hold of all documents together, whatever is asked. */
const Invariant = z
  .strictObject({
    id: RuleId,
    statement: z.string().min(1).max(500),
    never: Condition.optional(),
    always: Condition.optional(),
  })
  .refine((one) => (one.never === undefined) !== (one.always === undefined), {
    message: 'says either never or always',
  });
export type PolicyInvariant = z.infer<typeof Invariant>;

/**
 * A policy document. Nothing said is denied: a list that is absent is a schema error, an empty
 * list allows nothing. A document that is given for one run can only narrow the daemon's own.
 *
 * `profiles` are tried in the order in which they stand; the first whose condition holds is a task's
 * own, the lists of the document itself are the last of them and called `standard`. With `rules`, what
 * no rule allows or asks for is denied. docs/POLICY.md has all of it.
 */
export const PolicyDocument = z.strictObject({
  version: z.literal(1),
  name: Name,
  description: z.string().max(500).optional(),
  images: Images,
  tools: Tools,
  /** `ask`: a program that its user never had approved is asked for first. */
  tools_growth: z.enum(['off', 'ask']).optional(),
  /** `allowed`: runs under it may be autonomous, which asks for every program that is new. */
  autonomous: z.enum(['off', 'allowed']).optional(),
  env: Env,
  secrets: Secrets,
  limits: LimitsDocument,
  run: z.strictObject({
    tasks: z.number().int().min(1).max(10_000),
    concurrency: z.number().int().min(1).max(1024),
    timeout: Duration,
    workspace_files: z.number().int().min(1).max(10_000_000),
    workspace_bytes: Size,
    artifact_files: z.number().int().min(1).max(1_000_000),
    artifact_bytes: Size,
  }),
  provision: Provision,
  isolation: Isolation,
  mounts: Mounts.optional(),
  profiles: z
    .record(
      Name.refine((name) => name !== 'standard', 'standard is the document itself'),
      Profile,
    )
    .refine((profiles) => Object.keys(profiles).length <= policyProfilesMax, 'too many profiles')
    .optional(),
  rules: z.array(Rule).max(policyRulesMax).optional(),
  invariants: z.array(Invariant).max(256).optional(),
});
export type PolicyDocument = z.infer<typeof PolicyDocument>;
