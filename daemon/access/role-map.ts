import { OrchestraError } from '#contract/errors.ts';
import { roles, type Role } from '#contract/access.ts';
import type { Accounts } from './accounts.ts';
import type { Identity } from './caller.ts';

/** The section `access` of the configuration: who has a role, by the role. */
export type AccessSettings = { readonly [R in Role]?: readonly string[] | undefined };

/** A role that somebody has, and the line that gives it to him. */
export type Granted = { role: Role; by: string };

export type RoleMap = {
  /** Every role of somebody, each with the line it comes from. */
  granted(identity: Identity): Granted[];
  rolesOf(identity: Identity): ReadonlySet<Role>;
};

type Line = { role: Role; by: string; covers(identity: Identity): boolean };

/**
 * Who may do what. Names are looked up once, here: one that nobody has refuses the start, for a
 * mistyped name would be a role that somebody lacks or, worse, that somebody else gets later.
 *
 * The daemon's own user is always `admin`: it can write all that the daemon can. Without a section
 * `root` is as well, and whoever else can open the socket is a `runner`.
 */
export async function openRoleMap(
  settings: AccessSettings | undefined,
  { accounts, ownUid }: { accounts: Accounts; ownUid: number },
): Promise<RoleMap> {
  const own: Line = {
    role: 'admin',
    by: "the daemon's own user",
    covers: ({ uid }) => uid === ownUid,
  };
  const lines = [own, ...(settings === undefined ? unsaid() : await said(settings, accounts))];
  const granted = (identity: Identity): Granted[] => {
    const all = lines.filter((line) => line.covers(identity));
    const shown = identity.token;
    const isAdmin = all.some(({ role }) => role === 'admin');
    const mine = all.map(({ role, by }) => ({ role, by }));
    if (shown === undefined) return mine;
    // A token stands for some of what its owner may do now, and for nothing that he may not.
    return shown.roles.flatMap((role) => {
      const from = mine.find((each) => each.role === role);
      if (from !== undefined) return [from];
      return isAdmin ? [{ role, by: 'admin' }] : [];
    });
  };
  return {
    granted,
    rolesOf: (identity) => new Set(granted(identity).map(({ role }) => role)),
  };
}

function unsaid(): Line[] {
  return [
    { role: 'admin', by: 'default: uid:0', covers: ({ uid }) => uid === 0 },
    { role: 'runner', by: 'default: whoever can open the socket', covers: () => true },
  ];
}

async function said(settings: AccessSettings, accounts: Accounts): Promise<Line[]> {
  const lines = roles.flatMap((role) =>
    (settings[role] ?? []).map(async (subject) => ({
      role,
      by: `access.${role}: ${subject}`,
      covers: await coverage(subject, accounts),
    })),
  );
  return Promise.all(lines);
}

/** Whom a subject of the configuration means. */
export async function coverage(
  subject: string,
  accounts: Accounts,
): Promise<(identity: Pick<Identity, 'uid' | 'gids'>) => boolean> {
  if (subject === 'anyone') return () => true;
  const [kind, name = ''] = subject.split(/:(.*)/s);
  switch (kind) {
    case 'user': {
      const uid = (await accounts.uidOf(name)) ?? nobody(subject);
      return (identity) => identity.uid === uid;
    }
    case 'uid': {
      const uid = Number(name);
      return (identity) => identity.uid === uid;
    }
    case 'group':
    case 'gid': {
      const gid = kind === 'gid' ? Number(name) : ((await accounts.gidOf(name)) ?? nobody(subject));
      return (identity) => identity.gids?.includes(gid) === true;
    }
    default:
      return nobody(subject);
  }
}

function nobody(subject: string): never {
  throw new OrchestraError(
    'config.invalid',
    `This machine has no ${subject}, which the configuration names`,
    {
      hint: 'mend the name, or write uid:N or gid:N',
    },
  );
}
