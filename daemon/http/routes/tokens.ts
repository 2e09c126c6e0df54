import { OrchestraError } from '#contract/errors.ts';
import type { TokenOffice } from '../../access/tokens-office.ts';
import type { Routes } from '../app.ts';
import type { RouteDeps } from './deps.ts';

type Part = Pick<Routes, 'tokenList' | 'tokenCreate' | 'tokenRevoke'>;

export function tokenRoutes({ tokens }: RouteDeps): Part {
  const office = (): TokenOffice => {
    if (tokens !== undefined) return tokens;
    throw new OrchestraError('access.denied', 'This daemon gives out no tokens');
  };
  return {
    tokenList: async ({ caller }) => ({ items: await office().list(caller) }),
    tokenCreate: ({ body, caller }) => office().create(body, caller),
    tokenRevoke: ({ param, body, caller }) => office().revoke(param('id'), body.reason, caller),
  };
}
