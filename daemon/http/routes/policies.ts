import type { Routes } from '../app.ts';
import { digestOfText, readPolicy } from '../../policy/document.ts';
import type { RouteDeps } from './deps.ts';

type Part = Pick<Routes, 'policyList' | 'policyShow' | 'policyReload' | 'policyCheck'>;

export function policyRoutes({ runsDeps: { policies } }: RouteDeps): Part {
  return {
    policyList: async () => {
      const { rows, unread, refused } = await policies.compare();
      return { items: rows, unread, ...(refused === undefined ? {} : { refused }) };
    },
    policyReload: async ({ actor }) => {
      const { loaded, changed } = await policies.reload(actor);
      return { loaded, changed };
    },
    policyCheck: ({ body }) => {
      const { document, policy } = readPolicy(body.text, body.file);
      const digest = digestOfText(body.text);
      return Promise.resolve({
        name: document.name,
        digest,
        rules: document.rules?.length ?? 0,
        profiles: Object.keys(document.profiles ?? {}).length,
        narrowed: [...policies.again(policy).narrowed],
      });
    },
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
