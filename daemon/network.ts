import { stat } from 'node:fs/promises';
import type { Access } from './access/open.ts';
import type { Refusals } from './access/refusals.ts';
import { Guesses } from './access/tokens-guesses.ts';
import { TokenDoor } from './access/tokens-door.ts';
import { TokenOffice } from './access/tokens-office.ts';
import type { Tokens } from './access/tokens.ts';
import { Callers } from './access/callers.ts';
import type { Log } from './audit/types.ts';
import type { Clock } from './base/clock.ts';
import type { Config } from './config.ts';
import { buildApp, type EdgeDeps, type Routes } from './http/app.ts';
import { openTcp, type TcpListening } from './http/tcp.ts';
import { planTcp } from './http/tcp-settings.ts';
import type { Vault } from './audit/vault/vault.ts';

const dayMs = 86_400_000;

/** Who gives out tokens; there is one also where nothing listens yet. */
export function openOffice(
  { tokens: { usual, max } }: Pick<Config, 'tokens'>,
  { log, access, tokens, clock }: { log: Log; access: Access; tokens: Tokens; clock: Clock },
): TokenOffice {
  return new TokenOffice({
    log,
    tokens,
    accounts: access.accounts,
    roles: access.roles,
    settings: { usualMs: usual * dayMs, maxMs: max * dayMs },
    now: () => clock.now(),
  });
}

export type NetworkOptions = {
  config: Pick<Config, 'listen' | 'access' | 'socket'>;
  access: Access;
  tokens: Tokens;
  refusals: Refusals;
  clock: Clock;
  vault: Vault;
  edge: Omit<EdgeDeps, 'callers'>;
  routes: Routes;
};

/** Listens where the settings say, once the socket is there; nowhere by default. */
export async function openNetwork(options: NetworkOptions): Promise<TcpListening> {
  const { config, access, tokens, refusals, clock, edge, routes } = options;
  const plans = await Promise.all(config.listen.map((each) => planTcp(each)));
  const now = () => clock.now();
  const door = new TokenDoor({
    tokens,
    accounts: access.accounts,
    roles: access.roles,
    guesses: new Guesses(),
    refusals,
    mayOpen: await whoOpens(config),
    now,
  });
  return openTcp(plans, {
    door,
    tokens,
    refusals,
    logger: edge.logger,
    now,
    app: (reader) => {
      const callers = new Callers({ readers: [reader], roles: access.roles, vault: options.vault });
      return buildApp({ ...edge, callers }, routes).fetch;
    },
  });
}

/** For `orchestrad --check`: what would keep it from listening, but for the address being taken. */
export async function checkNetwork({ listen }: Pick<Config, 'listen'>): Promise<void> {
  for (const each of listen) await planTcp(each);
}

/**
 * Where nobody has been given roles, the permission to open the socket is the only one there is: who
 * is taken out of its group must not stay in by a token.
 */
async function whoOpens({ access, socket }: Pick<Config, 'access' | 'socket'>) {
  if (access !== undefined) return undefined;
  const facts = await stat(socket).catch(() => undefined);
  return ({ uid, gids = [] }: { uid?: number; gids?: readonly number[] }) =>
    uid === 0 || (facts !== undefined && (uid === facts.uid || gids.includes(facts.gid)));
}
