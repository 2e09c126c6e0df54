import type { IncomingMessage } from 'node:http';
import { OrchestraError } from '#contract/errors.ts';
import type { Vault } from '../audit/vault/vault.ts';
import { actorOf, callerFor, type Caller, type CallerReader } from './caller.ts';
import type { RoleMap } from './role-map.ts';

export type CallersOptions = {
  /** Of one listener, the strongest proof first. */
  readers: readonly CallerReader[];
  roles: RoleMap;
  /** Gives callers the names that the log may know them by. */
  vault?: Pick<Vault, 'actor'> | undefined;
};

/** Who calls on one listener. */
export class Callers {
  readonly #readers: readonly CallerReader[];
  readonly #roles: RoleMap;
  readonly #vault: Pick<Vault, 'actor'> | undefined;

  constructor({ readers, roles, vault }: CallersOptions) {
    this.#readers = readers;
    this.#roles = roles;
    this.#vault = vault;
  }

  /** Throws `access.denied` where nothing is known, `auth.needed` where a proof has to be shown. */
  async of(incoming: IncomingMessage): Promise<Caller> {
    for (const reader of this.#readers) {
      const identity = await reader.read(incoming);
      if (identity === undefined) continue;
      const roles = this.#roles.rolesOf(identity);
      const actor = actorOf(identity, roles);
      return callerFor(identity, (await this.#vault?.actor(actor)) ?? actor, roles);
    }
    throw new OrchestraError('access.denied', 'Nobody can say who calls', {
      hint: 'orchestra doctor',
    });
  }
}

/** Somebody of whom nothing is known, where nothing has to be. */
export function stranger(): Caller {
  return callerFor({ auth: 'none' }, { kind: 'user', auth: 'none' }, new Set());
}
