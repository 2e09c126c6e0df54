import type { Endpoint } from '#contract/api.ts';
import { OrchestraError } from '#contract/errors.ts';
import { scopeFor } from '#contract/tokens.ts';
import type { Caller, Owned } from '../access/caller.ts';

/** Throws `access.denied` where no role of the caller, and no scope of his token, is enough. */
export function refuseRole(name: string, row: Endpoint, { roles: has, identity }: Caller): void {
  const { roles } = row;
  if (identity.token?.allows(name) === false) {
    throw new OrchestraError(
      'access.denied',
      `The token is not for this: it lacks ${scopeFor(row)}`,
      {
        hint: 'orchestra token list says what it is for',
      },
    );
  }
  if (roles === 'anyone' || has.has('admin') || roles.some((role) => has.has(role))) return;
  const those = roles.length === 0 ? 'admin' : [...new Set([...roles, 'admin'])].join(' or ');
  const said = has.size === 0 ? 'you have none' : `you are ${[...has].join(', ')}`;
  throw new OrchestraError('access.denied', `This is for the role ${those}; ${said}`, {
    hint: 'orchestra whoami',
  });
}

/** Throws `access.denied` where the caller sees a run and may not steer it. */
export function refuseOthers(run: Owned & { id: string }, caller: Caller): void {
  if (caller.owns(run)) return;
  throw new OrchestraError('access.denied', `${run.id} is somebody else's run`, {
    hint: 'only its own user and an admin steer a run: orchestra whoami',
  });
}
