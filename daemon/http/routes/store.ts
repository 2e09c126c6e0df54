import type { Routes } from '../app.ts';
import type { RouteDeps } from './deps.ts';

type Part = Pick<Routes, 'storePrune'>;

export function storeRoutes({ runsDeps: { pruner } }: RouteDeps): Part {
  return { storePrune: ({ body, actor }) => pruner.prune(body, actor) };
}
