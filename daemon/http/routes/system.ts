import { OrchestraError } from '#contract/errors.ts';
import type { Check } from '#contract/api.ts';
import type { Routes } from '../app.ts';
import { openApi } from '../openapi.ts';
import type { RouteDeps } from './deps.ts';

type Part = Pick<
  Routes,
  'health' | 'ready' | 'version' | 'openapi' | 'doctor' | 'config' | 'imageList' | 'imagePin'
>;

export function systemRoutes(deps: RouteDeps): Part {
  const { log, version, images } = deps.runsDeps;
  return {
    health: () => Promise.resolve({ ok: true }),
    ready: async () => {
      if (log.blocked) throw log.blocked;
      if (deps.isStopping()) throw new OrchestraError('daemon.stopping', 'The daemon is stopping');
      await log.assertRoom();
      return { ok: true };
    },
    version: () =>
      Promise.resolve({ product: 'orchestra', version, api: 'v1', node: process.version }),
    openapi: () => Promise.resolve(openApi(version) as object),
    doctor: async (): Promise<{ checks: Check[] }> => ({ checks: await deps.doctor() }),
    config: () => Promise.resolve({ settings: deps.settings }),
    imageList: async () => ({ items: await images.list() }),
    imagePin: ({ body, actor }) => images.pin(log, body.reference, actor),
  };
}
