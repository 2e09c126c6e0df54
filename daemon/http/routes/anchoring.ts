import { OrchestraError } from '#contract/errors.ts';
import type { Routes } from '../app.ts';
import type { RouteDeps } from './deps.ts';

type Part = Pick<Routes, 'auditWitnesses' | 'auditAnchor'>;

/** Who is told of checkpoints is for the settings file to say, never for a caller. */
export function anchoringRoutes({ anchoring }: RouteDeps): Part {
  const there = () => {
    if (anchoring !== undefined) return anchoring;
    throw new OrchestraError('audit.unsigned', 'Nobody signs this log, so nobody can hold it');
  };
  return {
    // oxlint-disable-next-line require-await -- a refusal has to be a rejection
    auditWitnesses: async () => there().view(),
    auditAnchor: async ({ body, actor }) => there().now(actor, body.waitMs),
  };
}
