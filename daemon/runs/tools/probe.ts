import { randomUUID } from 'node:crypto';
import { limitNames, type Limits } from '#contract/limits.ts';
import { OrchestraError } from '#contract/errors.ts';
import { cutText } from '../../base/text.ts';
import { decide } from '../../policy/decide.ts';
import type { EffectivePolicy } from '../../policy/effective.ts';
import { spellSpec } from '../../policy/kept-spec.ts';
import type { Permit } from '../../policy/permit.ts';
import { chooseRuntime } from '../../policy/runtime-choice.ts';
import { homeTarget, type SandboxSpec } from '../../policy/spec.ts';
import { wallsUnder } from '../../policy/walls.ts';
import { runInSandbox, type SandboxResult } from '../../sandbox/sandbox.ts';
import { probeScript } from '../../tools/advertised/probe-script.ts';
import { readTrial, trialScript } from '../../tools/advertised/trial.ts';
import { readProbe, type Probed } from '../../tools/advertised/read-probe.ts';
import { baseEnvironment } from '../../tools/environment.ts';
import type { RunsDeps } from '../deps.ts';
import type { ResolvedImage } from '../images.ts';

export type ProbeDeps = Pick<
  RunsDeps,
  | 'installId'
  | 'log'
  | 'office'
  | 'pins'
  | 'engineFacts'
  | 'runtime'
  | 'walls'
  | 'refusesByDefault'
  | 'lsm'
  | 'mountRoots'
  | 'sandboxUser'
  | 'sandbox'
>;

const mib = 1024 * 1024;

/** What measuring an image takes at most; a policy that allows less gives less. */
const probeLimits: Limits = {
  cpuMilli: 2000,
  memoryBytes: 256 * mib,
  pids: 64,
  openFiles: 1024,
  fileSizeBytes: 8 * mib,
  diskBytes: mib,
  diskFiles: 16,
  tmpBytes: 8 * mib,
  outputBytes: 2 * mib,
  timeoutMs: 60_000,
  idleMs: 60_000,
};

/**
 * Measures the programs of an image, in a sandbox of it that is locked like any other and has no
 * workspace, nor anything of a user. Rejects with the reason where nothing could be measured.
 *
 * What measures is the image's own shell and `sha256sum`: an image that lies about itself can lie
 * here too. So nobody's leave is for a digest alone, it is for a digest in an image.
 */
export async function probeImage(
  deps: ProbeDeps,
  asked: { image: ResolvedImage; policy: EffectivePolicy; signal: AbortSignal },
): Promise<Probed> {
  const { text, result } = await runScript(deps, {
    ...asked,
    task: 'tools',
    script: probeScript(),
  });
  const probed = readProbe(text);
  if (probed !== undefined && probed.tools.length > 0) return probed;
  throw new OrchestraError(
    'sandbox.mismatch',
    `The programs of ${asked.image.reference} could not be measured: ${howItEnded(result)}`,
    { hint: 'the image needs a POSIX sh, realpath, sort, cut, sed, xargs and sha256sum' },
  );
}

/**
 * Tries programs of an image in such a sandbox: each is started once with `--version`, and nothing
 * else. Answers which of them could be started, by their paths; one that is not in there was not
 * tried to its end.
 */
export async function tryPrograms(
  deps: ProbeDeps,
  asked: {
    image: ResolvedImage;
    policy: EffectivePolicy;
    signal: AbortSignal;
    paths: readonly string[];
  },
): Promise<Map<string, boolean>> {
  const script = trialScript(asked.paths);
  const { text } = await runScript(deps, { ...asked, task: 'rehearsal', script });
  return readTrial(text, asked.paths);
}

async function runScript(
  deps: ProbeDeps,
  {
    image,
    policy,
    signal,
    task,
    script,
  }: {
    image: ResolvedImage;
    policy: EffectivePolicy;
    signal: AbortSignal;
    task: 'tools' | 'rehearsal';
    script: string;
  },
): Promise<{ text: string; result: SandboxResult }> {
  const spec = specOf(deps, image, policy, { task, script });
  const permit = await permitFor(deps, spec, image, policy);
  const kept: Uint8Array[] = [];
  const result = await runInSandbox(deps.sandbox, {
    permit,
    context: { task: spec.labels['orchestra.task'] ?? '', attempt: 1 },
    output: {
      // The sandbox ends one that says more than `outputBytes`.
      write: (stream, bytes) => {
        if (stream === 1) kept.push(Uint8Array.from(bytes));
      },
    },
    receipt: {
      policy: { name: policy.name, digest: policy.digest },
      image: { origin: image.origin },
      engine: deps.engineFacts,
      lsm: deps.lsm,
      layers: {},
    },
    signal,
  });
  signal.throwIfAborted();
  return { text: Buffer.concat(kept).toString('utf8'), result };
}

function specOf(
  deps: ProbeDeps,
  image: ResolvedImage,
  policy: EffectivePolicy,
  { task, script }: { task: string; script: string },
): SandboxSpec {
  const { installId, sandboxUser, engineFacts, runtime, walls } = deps;
  const limits = limitsUnder(policy);
  const tmpfs = { kind: 'tmpfs', sizeBytes: limits.tmpBytes, executable: false } as const;
  return {
    role: 'task',
    name: `orc-${installId}-${task}-${randomUUID().slice(0, 13)}`,
    image: { reference: image.reference, id: image.id },
    command: ['sh', '-c', script],
    cwd: '/tmp',
    env: { ...baseEnvironment },
    user: sandboxUser,
    runtime: chooseRuntime(policy, engineFacts, runtime),
    ...wallsUnder(policy, walls),
    limits,
    mounts: [
      { ...tmpfs, target: '/tmp' },
      { ...tmpfs, target: homeTarget, owner: sandboxUser },
    ],
    labels: {
      'orchestra.install': installId,
      'orchestra.run': 'none',
      'orchestra.task': task,
      'orchestra.attempt': '1',
    },
    secrets: [],
  };
}

function limitsUnder({ limits }: EffectivePolicy): Limits {
  return Object.fromEntries(
    limitNames.map((name) => [name, Math.min(probeLimits[name], limits[name])]),
  ) as Limits;
}

/** Judged like any sandbox, and on record. */
async function permitFor(
  deps: ProbeDeps,
  spec: SandboxSpec,
  image: ResolvedImage,
  policy: EffectivePolicy,
): Promise<Permit> {
  const decision = decide(spec, policy, {
    engine: deps.engineFacts,
    image: { ...image, pinned: deps.pins.get(image.reference) },
    roots: deps.mountRoots,
    refusesByDefault: deps.refusesByDefault,
  });
  const reasons = decision.allow ? [] : decision.reasons.map((r) => `${r.rule}: ${r.message}`);
  await deps.log.append({
    type: 'policy.decided',
    outcome: decision.allow ? 'ok' : 'denied',
    sev: decision.allow ? 'info' : 'alert',
    obj: { container: spec.name, task: spec.labels['orchestra.task'] ?? '' },
    pol: { hash: policy.digest, rule: decision.allow ? 'all' : (decision.reasons[0]?.rule ?? '') },
    data: {
      decision: decision.allow ? 'allow' : 'deny',
      spec: spellSpec(spec).digest,
      reasons: reasons.slice(0, 64).map((reason) => cutText(reason, 512)),
    },
  });
  if (decision.allow) return deps.office.mint(spec);
  throw new OrchestraError('policy.denied', `Policy denies a sandbox: ${reasons.join('; ')}`);
}

function howItEnded({ outcome, exitCode, limit }: SandboxResult): string {
  if (limit !== undefined) return `it met its limit of ${limit}`;
  if (outcome === 'timed_out') return 'it did not end in time';
  if (outcome !== 'exited') return outcome;
  return exitCode === 0 ? 'it found nothing' : `it ended with ${exitCode ?? 'no code'}`;
}
