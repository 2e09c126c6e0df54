import { secretBytesMax } from '../../secrets/read-secret.ts';
import type { Routes } from '../app.ts';
import { readBytes } from '../body.ts';
import type { RouteDeps } from './deps.ts';

type Part = Pick<Routes, 'secretList' | 'secretSet' | 'secretRemove'>;

export function secretRoutes({ runsDeps: { secrets } }: RouteDeps): Part {
  return {
    secretList: async () => ({ writable: secrets.writable, items: await secrets.list() }),
    secretSet: async ({ param, incoming, actor }) => {
      const name = param('name');
      const value = await readBytes(incoming, secretBytesMax);
      await secrets.set(name, value, actor);
      return { name, bytes: value.length };
    },
    secretRemove: async ({ param, actor }) => {
      await secrets.remove(param('name'), actor);
      return { name: param('name') };
    },
  };
}
