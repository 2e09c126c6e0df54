import type { Routes } from '../app.ts';
import type { RouteDeps } from './deps.ts';

type Part = Pick<Routes, 'policyList' | 'policyShow'>;

export function policyRoutes({ runsDeps: { policies } }: RouteDeps): Part {
  return {
    policyList: () => Promise.resolve({ items: policies.list() }),
    policyShow: ({ param }) => {
      const { name, source, text, narrowed, policy } = policies.get(param('name'));
      return Promise.resolve({
        name,
        digest: policy.digest,
        source,
        text,
        effective: { ...policy },
        narrowed: [...narrowed],
      });
    },
  };
}
