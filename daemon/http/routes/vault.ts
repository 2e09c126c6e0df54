import { z } from 'zod';
import { OrchestraError } from '#contract/errors.ts';
import { disclose } from '../../audit/vault/disclose.ts';
import type { Routes } from '../app.ts';
import type { RouteDeps } from './deps.ts';

type Part = Pick<Routes, 'auditDisclose' | 'auditSubjects' | 'auditErase'>;

export function vaultRoutes({ runsDeps: { log, vault }, index }: RouteDeps): Part {
  return {
    auditDisclose: async ({ param, body, actor }) => {
      const seq = z.coerce.number().int().min(0).parse(param('seq'));
      const line = await index.find(seq);
      if (!line) {
        throw new OrchestraError('record.unknown', `There is no record ${seq}`, {
          hint: 'orchestra audit tail',
        });
      }
      return disclose({ log, vault }, line.record, { actor, reason: body.reason });
    },
    auditSubjects: async ({ actor }) => {
      const people = vault.people();
      const data = { what: 'subjects', query: '', records: people.length };
      await log.append({ type: 'log.read', actor, data });
      return {
        items: people.map(({ subject, person: { uid, name } }) => ({
          subject,
          ...(uid === undefined ? {} : { uid }),
          ...(name === undefined ? {} : { name }),
        })),
      };
    },
    auditErase: async ({ param, body, actor }) => ({
      subject: await vault.erase(param('subject'), body.reason, { log, actor }),
    }),
  };
}
