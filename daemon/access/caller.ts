import type { IncomingMessage } from 'node:http';
import type { Role } from '#contract/access.ts';
import type { Actor } from '#contract/records.ts';

/** What a reader found out of somebody: never anything that he said without a proof. */
export type Identity = {
  auth: Actor['auth'];
  uid?: number;
  gid?: number;
  /** Only informative: the process may be gone and its number another's. */
  pid?: number;
  /** The name of the account, where there is one. */
  user?: string;
  /** All groups by number, the first one first. */
  gids?: readonly number[];
  /** Their names, `gid:N` where one has none. */
  groups?: readonly string[];
  /** The id of the token, and what of its owner's roles and endpoints it stands for. */
  token?: { id: string; roles: readonly Role[]; allows(endpoint: string): boolean };
};

/**
 * One way to find out who calls. The first reader that knows something of a connection decides;
 * `undefined` says that the connection is not its business. A proof that is there and wrong throws
 * `access.denied`: nobody falls back to less by showing a bad one.
 */
export type CallerReader = {
  proof: Actor['auth'];
  /** Why a stronger proof is not to be had, where it is not. */
  missing: string | undefined;
  read(incoming: IncomingMessage): Promise<Identity | undefined>;
};

/** Of a run, what says whose it is. */
export type Owned = {
  /** What tells its submitter from others: `ownerOf` of the actor on record. */
  owner: string;
  /** Somebody is asked something about it now. */
  isAsking?: boolean;
};

/** Who calls, with what he may be: made once a request. */
export type Caller = {
  identity: Identity;
  /** As the log names him. */
  actor: Actor;
  roles: ReadonlySet<Role>;
  /** He may steer it. */
  owns(run: Owned): boolean;
  /** He may read it. What he does not see is to him as if it did not exist. */
  sees(run: Owned): boolean;
};

/**
 * What tells one owner of runs from another. Everybody of whom nobody knows more than that he could
 * open the socket is one.
 */
export function ownerOf({ kind, uid, auth }: Pick<Actor, 'kind' | 'uid' | 'auth'>): string {
  if (kind !== 'user') return kind;
  return uid === undefined ? `auth:${auth}` : `uid:${uid}`;
}

export function callerFor(identity: Identity, actor: Actor, roles: ReadonlySet<Role>): Caller {
  const self = ownerOf(actor);
  const has = (...any: Role[]) => roles.has('admin') || any.some((role) => roles.has(role));
  const isHis = ({ owner }: Owned) => owner === self;
  return {
    identity,
    actor,
    roles,
    owns: (run) => has() || (has('runner') && isHis(run)),
    sees: (run) =>
      has('viewer', 'auditor') ||
      (has('runner') && isHis(run)) ||
      (has('approver') && run.isAsking === true),
  };
}

/** The caller as a record has him. */
export function actorOf(identity: Identity, roles: ReadonlySet<Role>): Actor {
  const { auth, uid, gid, pid, gids, token } = identity;
  return {
    kind: 'user',
    auth,
    ...(uid === undefined ? {} : { uid }),
    ...(gid === undefined ? {} : { gid }),
    ...(pid === undefined ? {} : { pid }),
    ...(gids === undefined ? {} : { groups: gids.slice(0, groupsOnRecord) }),
    ...(token === undefined ? {} : { token: token.id }),
    roles: [...roles].sort(),
  };
}

const groupsOnRecord = 128;
