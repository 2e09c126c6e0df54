import type { Accounts } from '#daemon/access/accounts.ts';
import { openRoleMap, type AccessSettings } from '#daemon/access/role-map.ts';

/** Accounts of a machine that a test can change while it runs: names with their groups. */
export class KnownAccounts implements Accounts {
  readonly users = new Map<number, { name: string; gids: number[] }>();
  readonly groups = new Map<number, string>();

  constructor(users: readonly [uid: number, name: string, ...gids: number[]][] = []) {
    for (const [uid, name, ...gids] of users) this.users.set(uid, { name, gids });
  }

  userName(uid: number): Promise<string | undefined> {
    return Promise.resolve(this.users.get(uid)?.name);
  }

  groupName(gid: number): Promise<string> {
    return Promise.resolve(this.groups.get(gid) ?? `gid:${gid}`);
  }

  uidOf(user: string): Promise<number | undefined> {
    const found = [...this.users].find(([, { name }]) => name === user);
    return Promise.resolve(found?.[0]);
  }

  gidOf(group: string): Promise<number | undefined> {
    return Promise.resolve([...this.groups].find(([, name]) => name === group)?.[0]);
  }

  gidsOf(uid: number): Promise<number[]> {
    return Promise.resolve(this.users.get(uid)?.gids ?? []);
  }
}

/** Roles by the numbers of users and groups; nobody is the daemon's own user. */
export async function rolesBy(settings: AccessSettings, accounts: Accounts) {
  return openRoleMap(settings, { accounts, ownUid: 4_000_000 });
}
