import { OrchestraError } from '#contract/errors.ts';
import type { UsageRow } from '#contract/access.ts';
import { actorOf, ownerOf, type Identity } from '../../access/caller.ts';
import type { Routes } from '../app.ts';
import type { RouteDeps } from './deps.ts';

type Part = Pick<Routes, 'whoAmI' | 'usage'>;

export function accessRoutes({ access, readers, runsDeps }: RouteDeps): Part {
  return {
    whoAmI: ({ caller: { identity, actor } }) => {
      const { auth, uid, user, groups = [], token } = identity;
      const weaker = auth === 'peer' || auth === 'token' ? undefined : readers[0]?.missing;
      return Promise.resolve({
        auth,
        groups: [...groups],
        roles: access.roles.granted(identity),
        quotas: runsDeps.quotas.view(actor),
        ...(uid === undefined ? {} : { uid }),
        ...(user === undefined ? {} : { user }),
        ...(token === undefined ? {} : { token: token.id }),
        ...(weaker === undefined ? {} : { missing: weaker }),
      });
    },
    usage: async ({ query: { user } }) => {
      const { usage, roles } = access;
      const only = user === undefined ? undefined : await ownerNamed(user, access);
      const rows = usage.all().filter(({ owner }) => only === undefined || owner === only);
      const items = rows.map(async ({ owner, openRuns, cpuMs, diskBytes, ...counts }) => {
        const uid = /^uid:(\d+)$/.exec(owner)?.[1];
        const who = uid === undefined ? undefined : await someone(Number(uid));
        const row: UsageRow = {
          owner,
          day: usage.day,
          open_runs: openRuns,
          ...counts,
          cpu_ms: cpuMs,
          disk_bytes: diskBytes,
          quotas: who === undefined ? [] : runsDeps.quotas.view(actorOf(who, roles.rolesOf(who))),
        };
        return who?.user === undefined ? row : { ...row, user: who.user };
      });
      return { items: await Promise.all(items) };
    },
  };

  /** As he would be if he called now. */
  async function someone(uid: number): Promise<Identity> {
    const { accounts } = access;
    const gids = await accounts.gidsOf(uid);
    const user = await accounts.userName(uid);
    return { auth: 'peer', uid, gids, ...(user === undefined ? {} : { user }) };
  }
}

async function ownerNamed(user: string, { accounts }: RouteDeps['access']): Promise<string> {
  const name = user.replace(/^user:/, '');
  const uid = /^(?:uid:)?(\d{1,10})$/.exec(name)?.[1] ?? (await accounts.uidOf(name));
  if (uid !== undefined) return ownerOf({ kind: 'user', auth: 'peer', uid: Number(uid) });
  throw new OrchestraError('request.invalid', 'This machine has no such user', {
    hint: 'write a name or uid:N',
  });
}
