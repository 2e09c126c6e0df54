import type { Routes } from '../app.ts';
import type { RouteDeps } from './deps.ts';

/** The same routes, where content that is not there any more is missed with the reason why. */
export function tellingOfPruned(
  routes: Routes,
  { runs, runsDeps }: Pick<RouteDeps, 'runs' | 'runsDeps'>,
): Routes {
  type Route = (call: { param(name: string): string }) => Promise<unknown>;
  const telling = Object.entries(routes).map(([name, route]) => [
    name,
    async (call: Parameters<Route>[0]) => {
      try {
        return await (route as unknown as Route)(call);
      } catch (error) {
        const reference = call.param('id');
        if (reference === '') throw error;
        throw runsDeps.pruned.explain(idOf(runs, reference), error);
      }
    },
  ]);
  return Object.fromEntries(telling) as Routes;
}

function idOf(runs: RouteDeps['runs'], reference: string): string {
  try {
    return runs.find(reference).id;
  } catch {
    return reference;
  }
}
