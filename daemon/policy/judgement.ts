import type { Digest } from '#contract/ids.ts';

export type { PolicyInput } from './input.ts';

export type Effect = 'allow' | 'deny' | 'ask';

/** What has to happen before a task that is asked for may go: the strictest of all that ask. */
export type Ask = {
  /** So many different people. */
  approvals: number;
  /** Of each list one entry has to fit whoever approves: a role, `user:…`, `uid:…` or `group:…`. */
  from: readonly (readonly string[])[];
  /** Whether who submitted the run may be one of them. */
  self: boolean;
  expiresMs: number;
};

/** One rule of one document, and what it came to. */
export type JudgedRule = {
  /**
   * `lists` and `default` are the document's own: what its lists allow, and what nobody speaks for;
   * `tool-not-allowed` is its `tools_growth`.
   */
  id: string;
  document: string;
  /** Of the document's text, as `sha256sum` says it. */
  digest: Digest;
  /** Where it stands in that text; 1 for the document as a whole. */
  line: number;
  effect: Effect;
  /** `error` counts as true for a rule that denies, and makes a deny of any other. */
  value: boolean | 'error';
  reason: string;
};

/** `document` and the profile in it that the task got. */
export type ChosenProfile = { document: string; digest: Digest; profile: string };

/** What all documents together say of one task. Every rule is in it, in the order of the documents. */
export type Judgement = {
  effect: Effect;
  /** Of the document that was asked for. */
  profile: string;
  profiles: readonly ChosenProfile[];
  rules: readonly JudgedRule[];
  /** Those that made the effect what it is. Never empty. */
  deciding: readonly JudgedRule[];
  /** Exactly where the effect is `ask`. */
  ask?: Ask;
};

/** `default/no-root`: how records name a rule. */
export function ruleName({ document, id }: Pick<JudgedRule, 'document' | 'id'>): string {
  return `${document}/${id}`;
}
