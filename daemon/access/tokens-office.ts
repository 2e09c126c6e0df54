import { OrchestraError } from '#contract/errors.ts';
import { roles as everyRole, type Role } from '#contract/access.ts';
import {
  scopesAllow,
  usualScopes,
  type CreatedToken,
  type CreateToken,
  type Scope,
  type TokenRow,
} from '#contract/tokens.ts';
import { spellDuration } from '#contract/units.ts';
import type { Log } from '../audit/types.ts';
import { newTokenId } from '../base/ids.ts';
import type { Accounts } from './accounts.ts';
import type { Caller } from './caller.ts';
import type { RoleMap } from './role-map.ts';
import { ownerBy } from './tokens-door.ts';
import { makeToken, type Token, type Tokens } from './tokens.ts';

export type TokenSettings = { usualMs: number; maxMs: number };

export type OfficeOptions = {
  log: Pick<Log, 'append'>;
  tokens: Tokens;
  accounts: Accounts;
  roles: Pick<RoleMap, 'rolesOf'>;
  settings: TokenSettings;
  now: () => number;
};

const ofOneMax = 64;
const allMax = 2048;

/** Gives tokens out and takes them back, each on record before it counts. */
export class TokenOffice {
  readonly #options: OfficeOptions;

  constructor(options: OfficeOptions) {
    this.#options = options;
  }

  /** The text of it is answered here and never again. */
  async create(asked: CreateToken, caller: Caller): Promise<CreatedToken> {
    const { log, now } = this.#options;
    this.#mayMake(caller);
    const uid = await this.#ownerOf(asked, caller);
    const expiresAt = now() + this.#lifetime(asked);
    const roles = await this.#rolesFor(uid, asked, caller);
    const scopes = this.#scopesFor(asked, caller);
    this.#assertRoom(uid);
    const { text, hash } = makeToken();
    const id = newTokenId();
    await log.append({
      type: 'token.created',
      actor: caller.actor,
      obj: { token: id },
      data: {
        token: id,
        hash,
        uid,
        roles,
        scopes,
        expires_at: new Date(expiresAt).toISOString(),
        ...(asked.note === undefined ? {} : { note: asked.note }),
      },
    });
    const token = this.#options.tokens.get(id);
    if (token === undefined) throw new Error('what is on record is there');
    return { ...(await this.#row(token)), token: text };
  }

  /** The caller's own; all of them for whoever may read everything. */
  async list(caller: Caller): Promise<TokenRow[]> {
    const isHis = ({ uid }: Token) => uid === caller.identity.uid;
    const all = this.#options.tokens.all().filter((each) => readsAll(caller) || isHis(each));
    return Promise.all(all.toReversed().map((each) => this.#row(each)));
  }

  /** Effective at once; of one that is revoked or over already it changes nothing. */
  async revoke(id: string, reason: string | undefined, caller: Caller): Promise<TokenRow> {
    const { tokens, log } = this.#options;
    const token = tokens.get(id);
    const isHis = token?.uid === caller.identity.uid || caller.roles.has('admin');
    // Somebody else's is to him as if there were none.
    if (token === undefined || !isHis) {
      throw new OrchestraError('token.unknown', `There is no token ${id.slice(0, 16)}`, {
        hint: 'orchestra token list',
      });
    }
    if (!token.isRevoked) {
      await log.append({
        type: 'token.revoked',
        sev: 'notice',
        actor: caller.actor,
        obj: { token: id },
        data: { token: id, reason: reason ?? 'no reason given' },
      });
    }
    return this.#row(token);
  }

  /** A token makes others only for an admin who said so when it was made. */
  #mayMake({ identity, roles }: Caller): void {
    if (identity.token === undefined || roles.has('admin')) return;
    throw denied('A token does not make tokens', 'make it on the machine of the daemon');
  }

  async #ownerOf({ for: name }: CreateToken, { identity, roles }: Caller): Promise<number> {
    const { accounts } = this.#options;
    const own = identity.uid;
    if (name === undefined) {
      if (own !== undefined) return own;
      throw denied('Nobody knows who you are, so no token can be yours', 'orchestra whoami');
    }
    const uid = /^\d{1,10}$/.test(name) ? Number(name) : await accounts.uidOf(name);
    // Whether there is somebody of that name is not for everybody to find out.
    if (uid !== own && !roles.has('admin')) {
      throw denied('Only an admin makes tokens for others', 'leave --for away');
    }
    if (uid !== undefined && (await accounts.userName(uid)) !== undefined) return uid;
    throw new OrchestraError('request.invalid', 'This machine has no user of that name', {
      hint: 'getent passwd lists them',
    });
  }

  async #rolesFor(uid: number, { roles: asked }: CreateToken, caller: Caller): Promise<Role[]> {
    const { accounts, roles } = this.#options;
    const owner = roles.rolesOf({ ...(await ownerBy(uid, accounts)), auth: 'token' });
    const both = everyRole.filter((role) => holds(owner, role) && holds(caller.roles, role));
    const wanted = asked ?? usualRoles(both);
    const beyond = wanted.filter((role) => !both.includes(role));
    if (wanted.length > 0 && beyond.length === 0) return [...new Set(wanted)].toSorted();
    throw denied(
      beyond.length === 0 ? 'Its owner has no role' : `${beyond.join(', ')}: not yours to give`,
      both.length === 0
        ? 'ask whoever keeps access: in the configuration'
        : `choose from ${both.join(', ')}`,
    );
  }

  #scopesFor({ scopes = [...usualScopes] }: CreateToken, { identity }: Caller): Scope[] {
    const shown = identity.token && this.#options.tokens.get(identity.token.id);
    const covers = (scope: Scope) =>
      shown === undefined || shown.scopes.includes(scope) || coversAll(shown.scopes, scope);
    const beyond = scopes.filter((scope) => !covers(scope));
    if (beyond.length === 0) return [...new Set(scopes)].toSorted();
    throw denied(`${beyond.join(', ')}: more than this token may`, 'ask for less with --scope');
  }

  #lifetime({ expiresMs }: CreateToken): number {
    const { usualMs, maxMs } = this.#options.settings;
    const ms = expiresMs ?? Math.min(usualMs, maxMs);
    if (ms <= maxMs) return ms;
    throw new OrchestraError('request.invalid', `No token is good for ${spellDuration(ms)}`, {
      hint: `${spellDuration(maxMs)} is the longest: tokens.max_days of the configuration`,
    });
  }

  #assertRoom(uid: number): void {
    const { tokens, now } = this.#options;
    const live = tokens.all().filter(({ id }) => tokens.holds(id, now()));
    const own = live.filter((token) => token.uid === uid);
    if (own.length < ofOneMax && live.length < allMax) return;
    throw new OrchestraError(
      'run.conflict',
      `There are ${own.length} tokens of this owner already`,
      {
        hint: 'orchestra token list, then orchestra token revoke ID',
      },
    );
  }

  async #row(token: Token): Promise<TokenRow> {
    const { accounts, roles, tokens, now } = this.#options;
    const owner = await ownerBy(token.uid, accounts);
    const shown = { id: token.id, roles: token.roles, allows: () => true };
    const has =
      owner.gids?.length !== 0 && roles.rolesOf({ ...owner, auth: 'token', token: shown });
    const isOver = token.expiresAt <= now();
    const usedAt = tokens.usedAt(token.id);
    return {
      id: token.id,
      uid: token.uid,
      ...(owner.user === undefined ? {} : { user: owner.user }),
      roles: [...token.roles],
      scopes: [...token.scopes],
      state: token.isRevoked
        ? 'revoked'
        : isOver
          ? 'expired'
          : has !== false && has.size > 0
            ? 'active'
            : 'idle',
      created_at: new Date(token.createdAt).toISOString(),
      expires_at: new Date(token.expiresAt).toISOString(),
      ...(usedAt === undefined ? {} : { last_used_at: new Date(usedAt).toISOString() }),
      ...(token.note === undefined ? {} : { note: token.note }),
    };
  }
}

/** `admin` stands for all roles. */
function holds(roles: ReadonlySet<Role>, role: Role): boolean {
  return roles.has('admin') || roles.has(role);
}

/** What a token gets where nobody says: never `admin`, which has to be asked for. */
function usualRoles(both: readonly Role[]): Role[] {
  if (both.includes('admin')) return ['runner'];
  return [...both];
}

function coversAll(scopes: readonly Scope[], wanted: Scope): boolean {
  return wanted !== 'all' && scopesAllow(scopes, wanted);
}

function readsAll({ roles }: Caller): boolean {
  return roles.has('admin') || roles.has('auditor');
}

function denied(message: string, hint: string): OrchestraError {
  return new OrchestraError('access.denied', message, { hint });
}
