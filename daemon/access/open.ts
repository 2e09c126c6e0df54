import { openAccounts, type Accounts } from './accounts.ts';
import { openLibc, type Libc } from './libc.ts';
import { openRoleMap, type AccessSettings, type RoleMap } from './role-map.ts';

/** What is known of people, before anybody calls. */
export type Access = {
  /** None where the C library cannot be called, and `missing` says why. */
  libc: Libc | undefined;
  missing: string | undefined;
  accounts: Accounts;
  roles: RoleMap;
};

export type AccessOptions = {
  settings: AccessSettings | undefined;
  ownUid: number;
  now: () => number;
};

/** Throws `config.invalid` where the settings name a user or group that this machine does not have. */
export async function openAccess({ settings, ownUid, now }: AccessOptions): Promise<Access> {
  const found = await openLibc().catch((error: unknown) =>
    error instanceof Error ? error.message.slice(0, 200) : 'unknown',
  );
  const libc = typeof found === 'string' ? undefined : found;
  const accounts = openAccounts(libc, now);
  const roles = await openRoleMap(settings, { accounts, ownUid });
  return { libc, missing: typeof found === 'string' ? found : undefined, accounts, roles };
}
