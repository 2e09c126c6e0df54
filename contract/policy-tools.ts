import { z } from 'zod';
import { Digest } from './ids.ts';

/** What the tools around policies say to each other: explain, test, diff and dry-run. */
const Effect = z.enum(['allow', 'deny', 'ask']);
const Count = z.number().int().min(0);
const textBytesMax = 1024 * 1024;

const RuleSeen = z.strictObject({
  document: z.string(),
  id: z.string(),
  /** Of the document's text, and where in it the rule stands. */
  digest: Digest,
  line: Count,
  effect: Effect,
  value: z.enum(['true', 'false', 'error']),
  decides: z.boolean(),
  reason: z.string(),
});
export type RuleSeen = z.infer<typeof RuleSeen>;

const AskSeen = z.strictObject({
  approvals: Count,
  from: z.array(z.array(z.string())),
  self: z.boolean(),
  expires_ms: Count,
});

/** One decision as the log has it, and as its rules come out again on the input that was kept. */
export const DecisionSeen = z.strictObject({
  /** The record, and its hash. */
  seq: Count,
  at: z.string(),
  hash: z.string(),
  /** `submitted`: of the plan, before anything ran; `used`: on the exact sandbox. */
  moment: z.enum(['submitted', 'used']),
  attempt: Count.optional(),
  effect: Effect,
  policy: Digest.optional(),
  input: Digest.optional(),
  spec: Digest.optional(),
  profiles: z.array(z.strictObject({ document: z.string(), digest: Digest, profile: z.string() })),
  ask: AskSeen.optional(),
  reasons: z.array(z.string()),
  /** Those that decided, as they were recorded; with all of them, once they are asked for. */
  rules: z.array(RuleSeen),
  /**
   * `kept`: every rule was asked again on the input that was kept, and came to the same. `recorded`:
   * only what the record says, `because` of something. `differs`: it came to something else.
   */
  source: z.enum(['kept', 'recorded', 'differs']),
  because: z.string().optional(),
});
export type DecisionSeen = z.infer<typeof DecisionSeen>;

export const PolicyExplanation = z.strictObject({
  run: z.string(),
  policy: z.strictObject({ name: z.string(), digest: Digest.optional() }),
  /** Every document that judged, from the ceiling down; `in_force` as long as its text is the same. */
  documents: z.array(
    z.strictObject({
      name: z.string(),
      digest: Digest,
      rules: Count,
      profiles: z.array(z.string()),
      in_force: z.boolean(),
    }),
  ),
  tasks: z.array(z.strictObject({ task: z.string(), decisions: z.array(DecisionSeen) })),
  /** How many tasks there are, where not all of them are here. */
  total: Count,
});
export type PolicyExplanation = z.infer<typeof PolicyExplanation>;

export const ExplainPolicyQuery = z.strictObject({
  task: z.string().min(1).max(48).optional(),
  limit: z.coerce.number().int().min(1).max(500).default(100),
});

const File = z.strictObject({
  file: z.string().min(1).max(512),
  text: z.string().max(textBytesMax),
});

/** A document by the name that the daemon knows, or as a text. */
export const PolicyReference = z.union([z.strictObject({ name: z.string().min(1).max(63) }), File]);
export type PolicyReference = z.infer<typeof PolicyReference>;

export const TestPolicies = z.strictObject({
  policy: File,
  tests: z.array(File).min(1).max(64),
  /** Judged beneath the daemon's ceiling; by itself where it is left out. */
  under_ceiling: z.boolean().default(false),
});

const CaseResult = z.strictObject({
  file: z.string(),
  line: Count,
  name: z.string(),
  ok: z.boolean(),
  expected: z.strictObject({
    effect: Effect,
    rule: z.string().optional(),
    profile: z.string().optional(),
    approvals: Count.optional(),
  }),
  got: z.strictObject({
    effect: Effect,
    rules: z.array(z.string()),
    profile: z.string(),
    approvals: Count.optional(),
    reasons: z.array(z.string()),
  }),
  /** What of it is not as expected, in words. */
  differs: z.array(z.string()),
});
export type CaseResult = z.infer<typeof CaseResult>;

const RuleCoverage = z.strictObject({
  document: z.string(),
  rule: z.string(),
  line: Count,
  effect: Effect,
  /** In how many cases it held, and in how many it decided. */
  held: Count,
  decided: Count,
});

export const PolicyTestReport = z.strictObject({
  policy: z.strictObject({ name: z.string(), digest: Digest }),
  cases: z.array(CaseResult),
  passed: Count,
  failed: Count,
  coverage: z.strictObject({
    rules: z.array(RuleCoverage),
    /** Rules and profiles that at least one case made decide, or apply. */
    covered: Count,
    total: Count,
    percent: Count,
    profiles: z.array(
      z.strictObject({ document: z.string(), profile: z.string(), applied: Count }),
    ),
  }),
});
export type PolicyTestReport = z.infer<typeof PolicyTestReport>;

export const DiffPolicies = z.strictObject({
  before: PolicyReference,
  after: PolicyReference,
});

/** A place of an input that differs from an ordinary one, and what stands there. */
export const Given = z.strictObject({ path: z.string(), value: z.string() });
export type Given = z.infer<typeof Given>;

const Example = z.strictObject({
  before: Effect,
  after: Effect,
  /** The rule that decides on either side, and how many of the inputs tried go the same way. */
  by_before: z.string(),
  by_after: z.string(),
  inputs: Count,
  given: z.array(Given),
});
export type DiffExample = z.infer<typeof Example>;

export const PolicyDiff = z.strictObject({
  before: z.strictObject({ name: z.string(), digest: Digest }),
  after: z.strictObject({ name: z.string(), digest: Digest }),
  /** What lists, limits and rules say that they did not say, or no more. */
  changes: z.array(
    z.strictObject({
      where: z.string(),
      what: z.string(),
      /** `wider`: more is possible, `narrower`: less, `other`: cannot be told from the text. */
      way: z.enum(['wider', 'narrower', 'other']),
    }),
  ),
  /** Of the inputs that were tried: those which become possible, impossible, or ask otherwise. */
  opened: z.array(Example),
  closed: z.array(Example),
  altered: z.array(Example),
  tried: Count,
  /** Every input there is behaves as one of those that were tried. */
  exhaustive: z.boolean(),
});
export type PolicyDiff = z.infer<typeof PolicyDiff>;

export const DryRunPolicy = z.strictObject({
  policy: PolicyReference,
  /** ISO 8601; runs that were submitted since then. */
  since: z.iso.datetime({ offset: true }).optional(),
  runs: z.number().int().min(1).max(10_000).optional(),
});
export type DryRunPolicy = z.infer<typeof DryRunPolicy>;

export const DryRunAnswer = z.strictObject({
  policy: z.strictObject({ name: z.string(), digest: Digest }),
  runs: Count,
  tasks: Count,
  /** Tasks that would be decided as they were. */
  same: Count,
  changed: z.array(
    z.strictObject({
      run: z.string(),
      submitted_at: z.string(),
      task: z.string(),
      tool: z.string(),
      before: Effect,
      after: Effect,
      by: z.string(),
      line: Count,
      reason: z.string(),
      profile: z.string(),
    }),
  ),
  /** How many changed, where not all of them are here. */
  changed_total: Count,
  denied: Count,
  asked: Count,
  allowed: Count,
  by_rule: z.array(z.strictObject({ rule: z.string(), line: Count, effect: Effect, tasks: Count })),
  /** What could not be judged, and why. */
  unknown: z.array(z.strictObject({ why: z.string(), runs: Count, tasks: Count })),
});
export type DryRunAnswer = z.infer<typeof DryRunAnswer>;
