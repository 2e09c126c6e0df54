import { OrchestraError } from '#contract/errors.ts';
import { endpoints, type Endpoint } from '#contract/api.ts';
import { scopeFor, scopesAllow } from '#contract/tokens.ts';
import type { Accounts } from './accounts.ts';
import type { Identity } from './caller.ts';
import type { Refusals } from './refusals.ts';
import type { RoleMap } from './role-map.ts';
import type { Guesses } from './tokens-guesses.ts';
import { isBad, type BadToken, type Token, type Tokens } from './tokens.ts';

export type DoorOptions = {
  tokens: Tokens;
  accounts: Accounts;
  roles: Pick<RoleMap, 'rolesOf'>;
  guesses: Guesses;
  refusals: Pick<Refusals, 'record'>;
  /** Who may not open the socket has no more over the network; asked for owners of tokens. */
  mayOpen?: ((owner: Owner) => boolean) | undefined;
  now: () => number;
};

export type Owner = Pick<Identity, 'uid' | 'gid' | 'gids'>;

/** A request before anybody knows whose it is. */
export type Knock = { authorization: string | undefined; address: string; path: string };

/** Nobody has to say who he is to hear that the daemon lives. */
const openPaths: ReadonlySet<string> = new Set([endpoints.health.path, endpoints.ready.path]);

/**
 * Who calls over the network: whoever shows a token. It stands for its owner as he is now, and never
 * for more: an account that is gone, or has none of the token's roles any more, gets nothing.
 */
export class TokenDoor {
  readonly #options: DoorOptions;

  constructor(options: DoorOptions) {
    this.#options = options;
  }

  /** Throws `token.…`, `access.denied` or, where somebody keeps guessing, `daemon.busy`. */
  async admit({ authorization, address, path }: Knock): Promise<Identity> {
    const { tokens, guesses, now } = this.#options;
    if (authorization === undefined && openPaths.has(path)) return nobody;
    const text = /^Bearer +([\x21-\x7e]{1,256})$/i.exec(authorization ?? '')?.[1];
    if (text === undefined) {
      // No guess, and nobody learns anything by it.
      await this.#record(address, 'missing');
      throw new OrchestraError('token.missing', 'The daemon wants a token over the network', {
        hint: 'orchestra login, with a token that orchestra token create made',
      });
    }
    const found = tokens.find(text, now());
    const wait = guesses.waitMs(address, isBad(found) ? undefined : found.id, now());
    if (wait > 0) {
      throw new OrchestraError('daemon.busy', 'Too many wrong tokens came from this address', {
        hint: `try again in ${Math.ceil(wait / 1000)}s`,
      });
    }
    if (isBad(found)) return this.#refuse(found, address);
    const identity = await this.#identityOf(found);
    if (!this.isWorth(identity)) {
      await this.#record(address, 'idle');
      throw new OrchestraError('access.denied', 'The owner of this token has none of its roles', {
        hint: 'ask for the role, or for another token: orchestra token list',
      });
    }
    guesses.succeeded(address, found.id, now());
    tokens.used(found.id, now());
    return identity;
  }

  /** Whether a token still stands for anything, such as one whose streams are open. */
  async stands(id: string): Promise<boolean> {
    const { tokens, now } = this.#options;
    const token = tokens.get(id);
    if (token === undefined || !tokens.holds(id, now())) return false;
    return this.isWorth(await this.#identityOf(token));
  }

  isWorth(identity: Identity): boolean {
    const { roles, mayOpen } = this.#options;
    if ((identity.gids ?? []).length === 0) return false;
    return mayOpen?.(identity) !== false && roles.rolesOf(identity).size > 0;
  }

  async #identityOf(token: Token): Promise<Identity> {
    const { id, roles, scopes } = token;
    const allows = (name: string) => scopesAllow(scopes, scopeFor(rowOf(name)));
    const owner = await ownerBy(token.uid, this.#options.accounts);
    return { ...owner, auth: 'token', token: { id, roles, allows } };
  }

  async #refuse({ why, token }: BadToken, address: string): Promise<never> {
    const { guesses, now } = this.#options;
    // Whoever has one that did hold is not guessing.
    if (token === undefined) guesses.failed(address, now());
    await this.#record(address, why, token);
    throw refusals[why](token);
  }

  async #record(address: string, reason: string, token?: Token): Promise<void> {
    await this.#options.refusals.record(address, {
      type: 'auth.failed',
      outcome: 'denied',
      sev: 'notice',
      actor: { kind: 'user', auth: 'none', ...(token && { token: token.id }) },
      obj: { address, ...(token && { token: token.id }) },
      data: { method: 'token', reason, address },
    });
  }
}

/** An account of this machine as it is now; without groups where there is none. */
export async function ownerBy(uid: number, accounts: Accounts): Promise<Omit<Identity, 'auth'>> {
  const [user, gids] = [await accounts.userName(uid), await accounts.gidsOf(uid)];
  const [gid] = gids;
  return {
    uid,
    gids,
    groups: await Promise.all(gids.map((each) => accounts.groupName(each))),
    ...(gid === undefined ? {} : { gid }),
    ...(user === undefined ? {} : { user }),
  };
}

const nobody: Identity = {
  auth: 'none',
  token: { id: '-', roles: [], allows: (name) => openPaths.has(rowOf(name).path) },
};

function rowOf(name: string): Pick<Endpoint, 'method' | 'path'> {
  // An endpoint that is not in the table is nobody's.
  return (endpoints as Record<string, Endpoint>)[name] ?? { method: 'POST', path: '/v1/' };
}

const again = 'make another one: orchestra token create, on the machine of the daemon';
const day = (ms: number | undefined) => new Date(ms ?? 0).toISOString().slice(0, 10);

const refusals: Readonly<Record<BadToken['why'], (token?: Token) => OrchestraError>> = {
  malformed: () =>
    new OrchestraError('token.invalid', 'This is not a whole token', {
      hint: 'it begins with orc_ and has 53 letters and digits; copy all of it: orchestra login',
    }),
  unknown: () =>
    new OrchestraError('token.invalid', 'The daemon does not know this token', { hint: again }),
  expired: (token) =>
    new OrchestraError('token.expired', `This token was good until ${day(token?.expiresAt)}`, {
      hint: again,
    }),
  revoked: () => new OrchestraError('token.revoked', 'This token was taken back', { hint: again }),
};
