import { createPublicKey } from 'node:crypto';
import type { Routes } from '../app.ts';
import type { RouteDeps } from './deps.ts';

type Part = Pick<Routes, 'runProvenance' | 'provenanceKey'>;

export function provenanceRoutes({ runs, runsDeps: { provenance } }: RouteDeps): Part {
  return {
    runProvenance: ({ param, query }) => provenance.of(runs.find(param('id')), query.artifact),
    provenanceKey: async () => {
      const { id, spki } = await provenance.key();
      const key = createPublicKey({ key: spki, format: 'der', type: 'spki' });
      return { key: id, pem: key.export({ type: 'spki', format: 'pem' }).toString() };
    },
  };
}
