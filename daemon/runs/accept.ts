import { availableParallelism } from 'node:os';
import { OrchestraError } from '#contract/errors.ts';
import type { Digest } from '#contract/ids.ts';
import type { Plan } from '#contract/plan.ts';
import type { Actor } from '#contract/records.ts';
import type { SubmitRun } from '#contract/run.ts';
import { canonicalJson, digestOf } from '../base/canonical.ts';
import { cutText } from '../base/text.ts';
import type { PolicyEntry } from '../policy/book.ts';
import { autonomously, isAutonomous } from '../policy/autonomous.ts';
import type { EffectivePolicy } from '../policy/effective.ts';
import { surveyOf, type Survey } from '../planner/models/survey.ts';
import { plan, refusal, type PlanRequest } from '../planner/planner.ts';
import { makeProfile, type Profile, type ProfileEntry } from '../planner/profile.ts';
import { openRunSecrets, type RunSecrets } from '../secrets/run-secrets.ts';
import { adviceData, adviceOn, aimsOf, preferPast, situationOf, type Advice } from './advice.ts';
import type { RunsDeps } from './deps.ts';
import type { ResolvedImage } from './images.ts';
import { aboutOf, aboutRun, type About } from './judging/about.ts';
import { assertAllowed, withinProfiles } from './judging/judge-plan.ts';
import type { RunFacts } from './state.ts';
import { denials, planWords, triedOf, type PlannedByWords } from './plan-words.ts';
import { programsOf, recordRehearsal, rehearse } from './rehearsal.ts';

export type Accepted = {
  policy: EffectivePolicy;
  image: ResolvedImage;
  made: PlannedByWords;
  about: About;
  secrets: RunSecrets;
  advice: Advice;
};

export const planBytesMax = 64 * 1024 * 1024;
/** Of all documents that judge, as they are kept. */
const policyBytesMax = 16 * 1024 * 1024;
const manifestBytesMax = 4 * 1024 * 1024;

/**
 * From an intent to a plan that may run: policy, image, plan, and every task judged with every
 * reason. Throws what refuses it. The image's pin is recorded by `images.resolve`.
 */
export async function planFor(
  deps: RunsDeps,
  /** The run that is on record, or who wants to know what it would be. */
  whose: RunFacts | Actor,
  request: SubmitRun,
  signal: AbortSignal,
): Promise<Accepted> {
  const prepared = await preparePlan(deps, whose, request, signal);
  const { runId, policy, image, asked, judged, rehearsed } = prepared;
  const planner = plannerName(deps, request);
  if (runId !== undefined) {
    await deps.log.append({
      type: 'plan.requested',
      run: runId,
      data: { planner, profile: digestOf(asked.profile) },
    });
  }
  const actor = 'id' in whose ? undefined : await deps.vault.actor(whose);
  const isByWords = request.plan === undefined && request.exec === undefined;
  const planned = isByWords
    ? await planWords(deps, { ...asked, planner: request.planner }, { run: runId, actor, signal })
    : plan({ ...asked, planText: request.plan, exec: request.exec });
  const offered = await judged(planned);
  const aims = isByWords ? aimsOf(request.intent, asked.profile) : {};
  const situation = situationOf(deps, whose, request.workspace);
  // Who names a planner wants its plan, and no other.
  const preferred =
    request.planner === undefined
      ? await preferPast(offered.made, {
          aims,
          situation,
          context: asked,
          goals: () => goalsOf(asked),
          judged,
          load: (digest) => loadPlan(deps, digest),
        })
      : undefined;
  const { made, about } = preferred ?? offered;
  if (rehearsed !== undefined) {
    const { programs, findings } = await rehearsed(made.plan);
    await recordRehearsal(deps, runId, { plan: made.digest, programs, findings });
    if (findings.length > 0) throw refusal(findings, made.plan.planner);
  }
  const names = made.plan.tasks.flatMap((task) => task.secrets);
  const secrets = await openRunSecrets(deps.secrets, names);
  return { policy, image, made, about, secrets, advice: adviceOn(made.plan, aims, situation) };
}

/** What the rules make of the words, where they make anything of them. */
export function goalsOf(asked: PlanRequest): Plan | undefined {
  try {
    return plan({ ...asked, planText: undefined, exec: undefined }).plan;
  } catch (error) {
    if (error instanceof OrchestraError) return undefined;
    throw error;
  }
}

/** What every planner is told, and what the policy says of a plan: throws `policy.denied`. */
export async function preparePlan(
  deps: RunsDeps,
  whose: RunFacts | Actor,
  request: SubmitRun,
  signal: AbortSignal = AbortSignal.any([]),
) {
  const runId = 'id' in whose ? whose.id : undefined;
  const policy = policyFor(deps, request);
  const [image, { profile, survey }] = await Promise.all([
    deps.images.resolve(deps.log, policy, runId),
    profileFor(deps, request, policy),
  ]);
  const judged = async (planned: PlannedByWords) => {
    const asAsked = await aboutPlanned(deps, whose, request, planned, policy);
    const within = withinProfiles(deps, { policy, about: asAsked }, planned.plan);
    const { about } = within;
    const made = {
      ...planned,
      plan: within.plan,
      digest: about.run.plan,
      clamped: [...planned.clamped, ...within.clamped],
    };
    await assertAllowed(deps, { policy, image, about }, made.plan);
    return { made, about };
  };
  // The image says what there is, and every plan is tried before anything of it runs.
  const isTried = isAutonomous(policy);
  const programs = isTried ? await programsOf(deps, image) : undefined;
  const { uid } = 'id' in whose ? whose.actor : whose;
  const rehearsed = isTried
    ? async (made: Plan) => rehearse(deps, { image, uid, signal }, made)
    : undefined;
  const asked = {
    intent: request.intent,
    profile,
    survey,
    policy,
    image: { reference: image.reference, id: image.id },
    imageTools: programs?.map(({ name }) => name) ?? image.tools,
    programs,
    review: async (planned: PlannedByWords) => {
      const denied = await denials(() => judged(planned));
      if (denied.length > 0 || rehearsed === undefined) return denied;
      return (await rehearsed(planned.plan)).findings;
    },
  };
  return { runId, policy, image, asked, judged, rehearsed };
}

async function aboutPlanned(
  deps: RunsDeps,
  whose: RunFacts | Actor,
  request: SubmitRun,
  { plan: made, digest }: Pick<PlannedByWords, 'plan' | 'digest'>,
  policy: EffectivePolicy,
): Promise<About> {
  if ('id' in whose) return aboutRun(deps, whose, { plan: made, planDigest: digest });
  const { intent, snapshot, workspace } = request;
  return aboutOf(deps, {
    id: '',
    actor: whose,
    intent,
    snapshot,
    workspace,
    concurrency: concurrencyFor(request, policy),
    policy: policy.name,
    continues: '',
    plan: made,
    planDigest: digest,
  });
}

async function profileFor(
  deps: RunsDeps,
  { snapshot }: SubmitRun,
  policy: EffectivePolicy,
): Promise<{ profile: Profile; survey: () => Survey }> {
  const { snapshots } = deps.workspace;
  const info = await snapshots.find(snapshot);
  const { workspaceFiles, workspaceBytes } = policy.run;
  if (info && (info.files > workspaceFiles || info.bytes > workspaceBytes)) {
    throw new OrchestraError(
      'workspace.too_large',
      `The workspace has ${info.files} files and ${info.bytes} bytes; the policy allows ${workspaceFiles} and ${workspaceBytes}`,
      { hint: 'leave out what the run does not need: .orchestraignore' },
    );
  }
  const entries = await entriesOf(deps, snapshot);
  const profile = await profileOf(deps, snapshot, entries);
  return { profile, survey: () => surveyOf(entries) };
}

/** What the rules look at of a workspace. */
export async function profileOf(
  deps: Pick<RunsDeps, 'workspace'>,
  snapshot: Digest,
  known?: readonly ProfileEntry[],
): Promise<Profile> {
  const entries = known ?? (await entriesOf(deps, snapshot));
  return makeProfile(entries, async (path) => {
    const content = await deps.workspace.snapshots.readFile(snapshot, path, manifestBytesMax);
    return content ?? new Uint8Array();
  });
}

async function entriesOf(
  { workspace }: Pick<RunsDeps, 'workspace'>,
  snapshot: Digest,
): Promise<ProfileEntry[]> {
  return (await workspace.snapshots.entries(snapshot)).map((entry) => ({
    path: entry.path,
    type: entry.type,
    size: entry.type === 'file' ? entry.bytes : 0,
  }));
}

/** A policy that was in force for a run, as far as the ceiling of today allows it. */
export async function policyAgain(deps: RunsDeps, digest: Digest): Promise<PolicyEntry> {
  const bytes = await deps.blobs.read(digest, { maxBytes: policyBytesMax });
  const content = JSON.parse(bytes.toString('utf8')) as Omit<EffectivePolicy, 'digest'>;
  return deps.policies.again({ ...content, digest });
}

export function policyFor(deps: RunsDeps, request: Asked): EffectivePolicy {
  return entryFor(deps, request).policy;
}

type Asked = Pick<SubmitRun, 'policy'> & Partial<Pick<SubmitRun, 'autonomous'>>;

/** The policy that was asked for, as an autonomous run has it where this is to be one. */
export function entryFor(deps: RunsDeps, request: Asked): PolicyEntry {
  const entry = namedEntry(deps, request);
  if (request.autonomous !== true && !deps.autonomous) return entry;
  return { ...entry, policy: autonomously(entry.policy) };
}

function namedEntry({ policies }: RunsDeps, { policy }: Pick<SubmitRun, 'policy'>): PolicyEntry {
  if (policy === undefined) return policies.byDefault();
  if ('name' in policy) return policies.get(policy.name);
  return policies.fromText(policy.text, policy.file);
}

/** As it applies, so that a run can be explained long after the file has changed. */
export async function keepPolicy(
  deps: Pick<RunsDeps, 'blobs'>,
  policy: EffectivePolicy,
): Promise<void> {
  const { digest: _digest, ...content } = policy;
  await deps.blobs.put(Buffer.from(canonicalJson(content)), { maxBytes: policyBytesMax });
}

export function concurrencyFor(
  request: Pick<SubmitRun, 'concurrency'>,
  policy: EffectivePolicy,
): number {
  return Math.min(request.concurrency ?? availableParallelism(), policy.run.concurrency);
}

/**
 * Stores the plan and the policy under their digests before they are on record. Answers what the
 * ceiling took away from the policy, in words.
 */
export async function recordPlan(
  deps: RunsDeps,
  runId: string,
  entry: Pick<PolicyEntry, 'policy' | 'narrowed'>,
  made: Pick<PlannedByWords, 'plan' | 'digest' | 'clamped' | 'tried' | 'from'>,
  advice?: Advice,
): Promise<string[]> {
  const bytes = Buffer.from(canonicalJson(made.plan));
  await Promise.all([
    keepPolicy(deps, entry.policy),
    deps.blobs.put(bytes, { maxBytes: planBytesMax }),
  ]);
  await deps.log.append({
    type: 'plan.made',
    run: runId,
    data: {
      planner: made.from ?? made.plan.planner,
      plan: made.digest,
      tasks: made.plan.tasks.length,
      bytes: bytes.length,
      clamped: made.clamped.slice(0, 512).map((text) => cutText(text, 256)),
      ...triedOf(made),
      ...adviceData(made.plan, advice),
    },
  });
  return entry.narrowed.slice(0, 512).map((text) => cutText(text, 256));
}

export async function loadPlan(
  deps: Pick<RunsDeps, 'blobs'>,
  digest: Plan['image']['id'],
): Promise<Plan> {
  const bytes = await deps.blobs.read(digest, { maxBytes: planBytesMax });
  return JSON.parse(bytes.toString('utf8')) as Plan;
}

export function plannerName({ planners }: RunsDeps, request: SubmitRun): string {
  if (request.exec) return 'exec';
  if (request.plan) return 'file';
  return request.planner ?? planners.names[0] ?? 'rules';
}
