import type { Role } from '#contract/access.ts';
import type { Actor } from '#contract/records.ts';
import type { AskTerms } from '#contract/requests.ts';
import type { AnswerFacts } from './state.ts';

/** Who answers: nothing in here is what somebody said of himself. */
export type Answerer = {
  actor: Actor;
  roles: ReadonlySet<Role>;
  /** The account's name and those of its groups, as far as they are known. */
  user?: string | undefined;
  groups?: readonly string[] | undefined;
  /** The run is his. */
  isOwner: boolean;
};

/**
 * Why somebody may not approve; undefined where he may. Of each list one entry has to fit him. Where
 * people are counted, or the submitter is no one of them, they have to be told apart: by the user id
 * that the kernel says, and by nothing less.
 */
export function whyNotApprove(
  ask: AskTerms,
  asker: Actor | undefined,
  answerer: Answerer,
): string | undefined {
  const unfit = ask.from.find((list) => !fits(list, answerer));
  if (unfit !== undefined) return `it takes ${oneOf(unfit)}`;
  const { uid } = answerer.actor;
  if (uid === undefined && (ask.approvals > 1 || !ask.self)) {
    return 'it takes a person that the system knows, and nobody knows who you are';
  }
  if (!ask.self && (asker?.uid === undefined || asker.uid === uid)) {
    return asker?.uid === undefined
      ? 'nobody knows who submitted the run, so nobody can be shown to be somebody else'
      : 'the run is your own, and the rule wants somebody else';
  }
  return undefined;
}

/** Why somebody may not deny it; undefined where he may. Who submitted the run always may. */
export function whyNotDeny(ask: AskTerms, answerer: Answerer): string | undefined {
  if (answerer.isOwner) return undefined;
  const unfit = ask.from.find((list) => !fits(list, answerer));
  return unfit === undefined ? undefined : `it takes ${oneOf(unfit)}`;
}

/**
 * Whether so many different people approved that it is enough. Whoever approved was entitled when he
 * did; whether he is somebody else than who asks is looked at again, because the one who asks may be
 * another: who goes on with a run is its submitter.
 */
export function isEnough(
  ask: AskTerms,
  asker: Actor | undefined,
  answers: readonly AnswerFacts[],
): boolean {
  const people = new Set<string>();
  for (const { answer, by } of answers) {
    if (answer === 'deny') return false;
    if (answer !== 'approve') continue;
    if (by.uid === undefined && (ask.approvals > 1 || !ask.self)) continue;
    if (!ask.self && (asker?.uid === undefined || asker.uid === by.uid)) continue;
    people.add(personOf(by));
  }
  return people.size >= Math.max(1, ask.approvals);
}

/** What tells one person from another here. */
export function personOf({ uid, auth, token }: Actor): string {
  if (uid !== undefined) return `uid:${uid}`;
  return token === undefined ? `auth:${auth}` : `token:${token}`;
}

/**
 * What was answered on the terms `granted` is enough for `wanted` as well: nobody new could be meant
 * by its lists, and as many different people approved as it wants.
 */
export function isCovered(
  wanted: AskTerms,
  asker: Actor | undefined,
  { ask: granted, answers }: { ask?: AskTerms; answers: readonly AnswerFacts[] },
): boolean {
  if (granted === undefined) return false;
  const isImplied = wanted.from.every((list) =>
    granted.from.some((other) => other.every((one) => list.includes(one))),
  );
  return isImplied && isEnough(wanted, asker, answers);
}

function fits(list: readonly string[], { actor, roles, user, groups = [] }: Answerer): boolean {
  return list.some((one) => {
    const [kind = '', ...rest] = one.split(':');
    const name = rest.join(':');
    switch (kind) {
      case 'user':
        return user !== undefined && name === user;
      case 'group':
        return groups.includes(name);
      case 'uid':
        return actor.uid !== undefined && name === String(actor.uid);
      default:
        return rest.length === 0 && (roles.has(kind as Role) || roles.has('admin'));
    }
  });
}

/** For people: `approver, user:ada or group:ops`. */
export function oneOf(list: readonly string[]): string {
  const last = list.at(-1) ?? 'nobody';
  return list.length < 2 ? last : `${list.slice(0, -1).join(', ')} or ${last}`;
}
