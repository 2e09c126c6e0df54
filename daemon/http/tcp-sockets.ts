import type { Socket } from 'node:net';
import type { TokenDoor } from '../access/tokens-door.ts';
import type { Tokens } from '../access/tokens.ts';

export type TokenSocketsOptions = {
  door: Pick<TokenDoor, 'stands'>;
  tokens: Pick<Tokens, 'onRevoked' | 'holds'>;
  now: () => number;
  /** How often each token that is in use is looked at again. */
  everyMs?: number;
};

const everyMs = 15_000;

/**
 * The connections on which each token was shown. They end when it is revoked, at once; and when it
 * expires or its owner loses its roles, some seconds later: a stream that was opened with it would
 * else go on for as long as its run.
 */
export class TokenSockets implements Disposable {
  readonly #options: TokenSocketsOptions;
  readonly #byToken = new Map<string, Set<Socket>>();
  readonly #listening: Disposable;
  readonly #timer: NodeJS.Timeout;

  constructor(options: TokenSocketsOptions) {
    this.#options = options;
    this.#listening = options.tokens.onRevoked((id) => this.#end(id));
    this.#timer = setInterval(() => void this.sweep(), options.everyMs ?? everyMs);
    this.#timer.unref();
  }

  /** False where the token was revoked since somebody looked, or nobody is there any more. */
  add(id: string, socket: Socket): boolean {
    const { tokens, now } = this.#options;
    // Its end was told before anybody listened for it.
    if (socket.destroyed) return false;
    const open = this.#byToken.get(id) ?? new Set();
    if (!open.has(socket)) {
      open.add(socket);
      this.#byToken.set(id, open);
      socket.once('close', () => this.#remove(id, socket));
    }
    if (tokens.holds(id, now())) return true;
    this.#end(id);
    return false;
  }

  async sweep(): Promise<void> {
    for (const id of this.#byToken.keys()) {
      // One that cannot be looked at is not let go on.
      if (!(await this.#options.door.stands(id).catch(() => false))) this.#end(id);
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#listening[Symbol.dispose]();
  }

  #end(id: string): void {
    for (const socket of this.#byToken.get(id) ?? []) socket.destroy();
  }

  #remove(id: string, socket: Socket): void {
    const open = this.#byToken.get(id);
    open?.delete(socket);
    if (open?.size === 0) this.#byToken.delete(id);
  }
}
