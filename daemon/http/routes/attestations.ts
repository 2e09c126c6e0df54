import { join } from 'node:path';
import { Attester } from '../../audit/attest.ts';
import type { Routes } from '../app.ts';
import type { RouteDeps } from './deps.ts';

type Part = Pick<Routes, 'attest'>;

export function attestationRoutes({ runsDeps: { log, stateDir, version } }: RouteDeps): Part {
  const attester = new Attester({ log, version, keyFile: join(stateDir, 'keys', 'report.key') });
  return { attest: ({ body, actor }) => attester.attest(body, actor) };
}
