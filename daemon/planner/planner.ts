import { OrchestraError, type ErrorPlace } from '#contract/errors.ts';
import type { Digest } from '#contract/ids.ts';
import type { Finding, Plan, PlanFile } from '#contract/plan.ts';
import { digestOf } from '../base/canonical.ts';
import type { EffectivePolicy } from '../policy/effective.ts';
import { findTool } from '../tools/index.ts';
import { planByRules } from './plan-by-rules.ts';
import { readPlanFile, type DraftInput } from './plan-file.ts';
import type { Profile } from './profile.ts';
import { validateDraft } from './validate.ts';

export type PlanRequest = {
  intent: string;
  profile: Profile;
  policy: EffectivePolicy;
  image: { reference: string; id: Digest };
  /** Every program that the image offers by its name. */
  imageTools: readonly string[];
  /** A plan that a person wrote; then nothing is planned. */
  planText?: { text: string; file: string } | undefined;
  /** One command (`orchestra exec`); then nothing is planned either. */
  exec?: readonly string[] | undefined;
};

export type Planned = {
  plan: Plan;
  digest: Digest;
  /** Limits that were asked for and lowered, in words. */
  clamped: string[];
  /** Size of the draft as JSON, for the record. */
  draftBytes: number;
  /** Who handed it in, where that is somebody else than who once made it. */
  from?: 'file';
};

/** Findings that only another policy would mend. */
export const policyCodes: readonly Finding['code'][] = [
  'tool_denied',
  'secret_denied',
  'policy_denied',
];

type Draft = {
  planner: string;
  draft: DraftInput;
  place?: (finding: Finding) => ErrorPlace;
  /** What the draft has to come to. */
  made?: NonNullable<PlanFile['made']>;
};

/**
 * An intent, a plan file or a command → the plan that will run. Throws `plan.impossible` with
 * every reason, `plan.invalid` with every place, or `policy.denied` where policy alone says no.
 */
export function plan(request: PlanRequest): Planned {
  const { planner, draft, place, made } = makeDraft(request);
  const { policy, image, imageTools } = request;
  const result = validateDraft(draft, { planner, policy, image, imageTools });
  if (!result.ok) throw refusal(result.findings, planner, place);
  const { plan, digest, clamped } = result;
  const draftBytes = Buffer.byteLength(JSON.stringify(draft));
  if (made === undefined) return { plan, digest, clamped, draftBytes };
  const same = { ...plan, planner: made.planner, assumptions: made.assumptions };
  if (digestOf(same) !== made.digest) throw refusal([anotherPlan], planner, place);
  return { plan: same, digest: made.digest, clamped, draftBytes, from: 'file' };
}

const anotherPlan: Finding = {
  code: 'schema',
  pointer: '/made/digest',
  message: 'the plan is not the one that was made: edited, or policy or image are others today',
  hint: 'to run it as it is, take made: out of the file',
};

function makeDraft(request: PlanRequest): Draft {
  const { planText, exec } = request;
  if (exec !== undefined) return { planner: 'exec', draft: execDraft(exec, request.policy) };
  if (planText === undefined) return { planner: 'rules', draft: planByRules(request) };
  const { draft, made, locate } = readPlanFile(planText.text, planText.file);
  return {
    planner: 'file',
    draft,
    ...(made === undefined ? {} : { made }),
    place: ({ pointer = '', message, hint }) => {
      const place = { ...locate(pathOf(pointer)), message };
      return hint === undefined ? place : { ...place, hint };
    },
  };
}

// A command that is a tool of its own becomes that tool, so that `npm ci` gets its packages.
function execDraft(argv: readonly string[], policy: EffectivePolicy): DraftInput {
  const [program = '', ...rest] = argv;
  const known =
    program !== 'exec' && findTool(program) !== undefined && policy.tools.includes(program);
  const title = argv
    .join(' ')
    .toWellFormed()
    .replace(/\p{Cc}/gu, '?')
    .slice(0, 120);
  return {
    version: 1,
    assumptions: [],
    tasks: [
      {
        id: 'exec',
        title: title.toWellFormed(),
        why: 'the command that was given',
        tool: known ? program : 'exec',
        args: known ? rest : [...argv],
        env: [],
        cwd: '.',
        deps: [],
        outputs: [],
        limits: {},
        onFailure: 'stop',
      },
    ],
  };
}

/** What is wrong with a plan, as the error that its planner's user sees. */
export function refusal(
  findings: readonly Finding[],
  planner: string,
  place: Draft['place'] = plainPlace,
): OrchestraError {
  const places = findings.map((finding) => place(finding));
  // Policy's own word only where nothing else is wrong: a broken plan is mended first.
  const denied = findings.every(({ code }) => policyCodes.includes(code));
  const code = denied ? 'policy.denied' : 'plan.invalid';
  const [first] = findings;
  const what = planner === 'exec' ? 'the command' : 'the plan';
  const message =
    findings.length === 1 && first !== undefined
      ? `${what} is refused: ${first.message}`
      : `${what} is refused for ${findings.length} reasons`;
  return new OrchestraError(code, message, { places });
}

function plainPlace({ pointer, message, hint }: Finding): ErrorPlace {
  return {
    message,
    ...(pointer === undefined ? {} : { pointer }),
    ...(hint === undefined ? {} : { hint }),
  };
}

function pathOf(pointer: string): (string | number)[] {
  return pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .map((part) => (/^\d{1,9}$/.test(part) ? Number(part) : part));
}
