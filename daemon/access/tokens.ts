import { hash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Role } from '#contract/access.ts';
import type { AnyRecord, RecordData } from '#contract/records.ts';
import { isTokenText, spellToken, type Scope } from '#contract/tokens.ts';

/** A token as the log has it: everything but its secret. */
export type Token = {
  id: string;
  uid: number;
  roles: readonly Role[];
  scopes: readonly Scope[];
  createdAt: number;
  expiresAt: number;
  note: string | undefined;
  isRevoked: boolean;
};

/** Why a text gives nobody anything. Of `unknown` it is not said whether it ever was one. */
export type BadToken = { token?: Token; why: 'malformed' | 'unknown' | 'expired' | 'revoked' };

// Those that are over are listed for so long, counted by the log's own time.
const rememberedMs = 30 * 86_400_000;

/** Which tokens there are: a fold over the log. A revoked one never comes back, whatever is read later. */
export class Tokens {
  readonly #all = new Map<string, Token>();
  readonly #byHash = new Map<string, { token: Token; hash: Buffer }>();
  readonly #revoked = new Set<string>();
  readonly #usedAt = new Map<string, number>();
  readonly #listeners = new Set<(id: string) => void>();

  fold(record: AnyRecord): void {
    if (record.type === 'token.created') this.#add(record.data, Date.parse(record.ts));
    if (record.type === 'token.revoked') this.#revoke(record.data.token);
  }

  /** Hears of each token in the moment in which it is revoked. */
  onRevoked(listener: (id: string) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) };
  }

  get(id: string): Token | undefined {
    return this.#all.get(id);
  }

  all(): Token[] {
    return [...this.#all.values()];
  }

  /** The token that a text is, if it counts now. Looked up by hash, so no time tells of the secret. */
  find(text: string, now: number): Token | BadToken {
    if (!isTokenText(text)) return { why: 'malformed' };
    const digest = hashOf(text);
    const kept = this.#byHash.get(digest);
    if (kept === undefined || !timingSafeEqual(kept.hash, Buffer.from(digest))) {
      return { why: 'unknown' };
    }
    const { token } = kept;
    if (token.isRevoked) return { token, why: 'revoked' };
    return token.expiresAt <= now ? { token, why: 'expired' } : token;
  }

  /** Whether one that was found before still counts. */
  holds(id: string, now: number): boolean {
    const token = this.#all.get(id);
    return token !== undefined && !token.isRevoked && token.expiresAt > now;
  }

  /** Not on record: as far as this process saw. */
  used(id: string, now: number): void {
    this.#usedAt.set(id, now);
  }

  usedAt(id: string): number | undefined {
    return this.#usedAt.get(id);
  }

  #add(data: RecordData<'token.created'>, createdAt: number): void {
    this.#forgetOld(createdAt);
    const token: Token = {
      id: data.token,
      uid: data.uid,
      roles: data.roles as Role[],
      scopes: data.scopes as Scope[],
      createdAt,
      expiresAt: Date.parse(data.expires_at),
      note: data.note,
      isRevoked: this.#revoked.has(data.token),
    };
    this.#all.set(token.id, token);
    this.#byHash.set(data.hash, { token, hash: Buffer.from(data.hash) });
  }

  #revoke(id: string): void {
    this.#revoked.add(id);
    const token = this.#all.get(id);
    if (token !== undefined) token.isRevoked = true;
    for (const listener of this.#listeners) listener(id);
  }

  #forgetOld(now: number): void {
    for (const [digest, { token }] of this.#byHash) {
      if (token.expiresAt + rememberedMs >= now) continue;
      this.#byHash.delete(digest);
      this.#all.delete(token.id);
      this.#usedAt.delete(token.id);
    }
  }
}

export function isBad(found: Token | BadToken): found is BadToken {
  return 'why' in found;
}

/** A new one: the text is for its owner, the hash is all that is kept. */
export function makeToken(): { text: string; hash: string } {
  const text = spellToken(randomBytes(32));
  return { text, hash: hashOf(text) };
}

function hashOf(text: string): string {
  return hash('sha256', text, 'hex');
}
