import { hostname } from 'node:os';
import { Exporter } from '../../audit/export/export.ts';
import type { Routes } from '../app.ts';
import { sendBytes } from '../send-bytes.ts';
import type { RouteDeps } from './deps.ts';

type Part = Pick<Routes, 'auditExport' | 'auditForwarders'>;

/** Records for somebody else: as one answer, or on their own to whom the configuration names. */
export function auditExportRoutes({ runs, runsDeps, checkpoints, forwarders }: RouteDeps): Part {
  const { log, version, clock, vault } = runsDeps;
  const exporter = new Exporter({
    log,
    version,
    host: hostname(),
    now: () => clock.now(),
    // Without a root the lines are still the lines.
    rootAt: (size) => checkpoints?.tree.rootAt(size).catch(() => undefined),
  });
  return {
    auditExport: async ({ query, actor, signal, outgoing }) => {
      const run = query.run === undefined ? undefined : runs.find(query.run).id;
      const asked = { ...vault.asked(query), ...(run === undefined ? {} : { run }) };
      const { manifest, contentType, blocks } = await exporter.open(asked, actor, signal);
      return sendBytes(outgoing, blocks, {
        'content-type': contentType,
        'cache-control': 'no-store',
        'orchestra-records': `${manifest.records}`,
        'orchestra-range': `${manifest.from_seq}-${manifest.to_seq}`,
      });
    },
    auditForwarders: async () => ({ items: (await forwarders?.status()) ?? [] }),
  };
}
