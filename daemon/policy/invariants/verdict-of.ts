import type { EffectivePolicy, PolicyLists } from '../effective.ts';
import type { Judge } from '../judge.ts';
import type { Judgement, PolicyInput } from '../judgement.ts';
import type { Verdict } from './verdict.ts';

/** What all documents of a policy say of a task, in the words of invariants. */
export function verdictOf(
  judge: Judge,
  policy: EffectivePolicy,
  input: PolicyInput,
): { verdict: Verdict; judgement: Judgement } {
  const judgement = judge.judge(policy, input);
  const lists = judge.listsFor(policy, input);
  const profile = profileFacts(lists, { name: judgement.profile, document: policy.name });
  return { judgement, verdict: { ...termsOf(judgement), profile } };
}

/** The part of it that needs no task: what the lists of a profile come to. */
export function profileFacts(
  lists: PolicyLists,
  { name, document }: { name: string; document: string },
): Verdict['profile'] {
  const { images, isolation, limits } = lists;
  const references = (of: PolicyLists['images']) => [...new Set(of.map((one) => one.reference))];
  return {
    name,
    document,
    images: references(images),
    unpinned: references(images.filter(({ digest }) => digest === 'pinned')),
    tools: lists.tools,
    env: lists.env,
    secrets: [...new Set(lists.secrets.map((grant) => grant.name))],
    registries: lists.provision.registries,
    mounts: lists.mounts,
    runtimes: isolation.runtimes,
    seccomp: isolation.seccomp,
    apparmor: isolation.apparmor,
    selinux: isolation.selinux,
    userns: isolation.userns,
    cpu_milli: limits.cpuMilli,
    memory_bytes: limits.memoryBytes,
    disk_bytes: limits.diskBytes,
    timeout_ms: limits.timeoutMs,
  };
}

export function termsOf({
  effect,
  ask,
}: Pick<Judgement, 'effect' | 'ask'>): Omit<Verdict, 'profile'> {
  return {
    effect,
    ask: {
      approvals: ask?.approvals ?? 0,
      from: [...new Set(ask?.from.flat() ?? [])],
      self: ask?.self ?? true,
      expires_ms: ask?.expiresMs ?? 0,
    },
  };
}
